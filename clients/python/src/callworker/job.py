"""A call-verification job as a producer sends it, with the checks of its fields.

The worker checks each job again, by the same rules: clients/cases/jobs.json is the table of cases that holds both, and
the clients in other languages, together. Source: docs/reference/job.md.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

from callworker.errors import InvalidJob

LANGUAGES = (
    "Chinese", "English", "French", "German", "Hebrew", "Italian",
    "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Spanish",
)  # fmt: skip
EXTENDED_LANGUAGES = ("Arabic", "Hindi", "Hungarian", "Romanian", "Ukranian", "Vietnamese")
"""Languages that only an older page of the provider lists, in its spelling. The operator can allow them."""
MAX_NOTE = 255
"""Characters of `ref`."""
MAX_EXTENSION = 20
"""Characters of `ext`."""
MAX_FIELDS_NAMED = 32
"""The most fields that one error names, those of a job first."""
MAX_HARMLESS_DIGITS = 2
"""The most digits of an unknown name that an error shows: a name with more of them may be a PIN."""

_ID = re.compile(r"[A-Za-z0-9_:-]{1,64}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:([0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_DIGIT = re.compile(r"[0-9]")
_NO_FIELD = "is not a field of a job"


@dataclass(frozen=True, slots=True)
class Job:
    """One call to place: which account pays, which number rings, which PIN is spoken. It is checked when it is sent.

    `repr()` leaves out the PIN, the number and the note, so that no log line and no traceback can show them. Give an
    `id` to each job that you may have to send again: one id is one call, however often it is sent.
    """

    account: str
    """A name in the accounts file of the workers."""
    country: str | int
    """Country calling code, without a leading zero."""
    phone: str | int = field(repr=False)
    """Number with area code, digits only."""
    code: str | int = field(repr=False)
    """The PIN that is spoken, from 100 to 99999."""
    _: KW_ONLY
    id: str | None = None
    """The idempotency key. A random one is made up if it is absent."""
    ext: str | int | None = field(default=None, repr=False)
    """Extension to dial."""
    exttype: str | int | None = None
    """1 (PBX) or 2 (live operator). Only with `extended`, as six languages and commas in `ext`."""
    message: str | None = None
    """Language spoken, English if absent."""
    ref: str | None = field(default=None, repr=False)
    """A note, which the event of the job has as `note`."""
    expires_at: str | datetime | None = None
    """RFC 3339 time, or a datetime with a time zone. If absent, the account's `ttl` counts from acceptance."""
    traceparent: str | None = field(default=None, repr=False)
    """The W3C trace context in which the job is sent. A malformed one is ignored."""
    tracestate: str | None = field(default=None, repr=False)


JobLike: TypeAlias = Job | Mapping[str, Any]
"""A job, or its fields as in the contract."""


def checked(job: object, *, extended: bool = False) -> dict[str, str]:
    """Check a job and return its fields as they are sent, all as strings. A field that is None counts as absent.

    A missing id is made up. `extended` also allows what only the provider's older page has: `exttype`, commas in `ext`
    and six more languages. Raises InvalidJob, which names each wrong field, never its value.
    """
    given = _given(job)
    fields: dict[str, str] = {}
    errors: dict[str, str] = {}
    for name, rule in _RULES.items():
        value = given.get(name)
        if value is not None:
            try:
                fields[name] = rule(value, extended)
            except ValueError as error:
                errors[name] = str(error)
        elif name == "id":
            fields[name] = f"job_{uuid.uuid4().hex}"
        elif name in _REQUIRED:
            errors[name] = "is required"
    if not given.keys() <= _RULES.keys():
        errors |= _unknown(given)
    if errors:
        named = dict(islice(errors.items(), MAX_FIELDS_NAMED))
        raise InvalidJob("INVALID_JOB", "the job is not valid", named)
    return fields


def checked_all(jobs: Iterable[JobLike], check: Callable[[JobLike], dict[str, str]]) -> list[dict[str, str]]:
    """Return what `check` returns for each job. Its InvalidJob then says which job is wrong, by its place from 0."""
    return [_checked_at(place, job, check) for place, job in enumerate(jobs)]


def checked_names(job_id: object, account: object = None) -> dict[str, str]:
    """Check an id, and an account unless it is None, and return them as fields. Raises InvalidJob."""
    given = {"id": job_id} if account is None else {"id": job_id, "account": account}
    errors = {}
    for name, value in given.items():
        try:
            _RULES[name](value, False)
        except ValueError as error:
            errors[name] = str(error)
    if errors:
        raise InvalidJob("INVALID_JOB", "the cancel is not valid", errors)
    return {name: str(value) for name, value in given.items()}


def _checked_at(place: int, job: JobLike, check: Callable[[JobLike], dict[str, str]]) -> dict[str, str]:
    try:
        return check(job)
    except InvalidJob as error:
        job_id = job.get("id") if isinstance(job, Mapping) else getattr(job, "id", None)
        # An id that is none could be a number.
        readable = isinstance(job_id, str) and _ID.fullmatch(job_id)
        name = f"job {place} ({job_id})" if readable else f"job {place}"
        raise InvalidJob(error.code, f"{name} is not valid", error.fields) from None


def _given(job: object) -> Mapping[Any, Any]:
    if isinstance(job, Job):
        return {name: getattr(job, name) for name in _RULES}
    if not isinstance(job, Mapping):
        wrong = {"job": "must be an object with the job's fields"}
        raise InvalidJob("INVALID_JOB", "the job is not valid", wrong)
    return job


def _unknown(given: Mapping[Any, Any]) -> dict[str, str]:
    return {
        _shown(name, place): _NO_FIELD
        for place, (name, value) in enumerate(given.items(), start=1)
        if value is not None and name not in _RULES
    }


def _shown(name: object, place: int) -> str:
    """Return the name if it could be that of a field, else its place, as "field 3": it may be a PIN or a number."""
    harmless = (
        isinstance(name, str) and _NAME.fullmatch(name) and len(_DIGIT.findall(name)) <= MAX_HARMLESS_DIGITS
    )
    return str(name) if harmless else f"field {place}"


_Rule: TypeAlias = Callable[[Any, bool], str]
"""Returns a field as it is sent, from its value and whether `extended` is on. Raises ValueError with the rule."""


def _text(pattern: str, rule: str, *, integers: bool = False) -> _Rule:
    """Return the rule of strings that match `pattern` as a whole. With `integers` an integer counts as its digits."""
    match = re.compile(pattern).fullmatch

    def check(value: Any, _: bool) -> str:
        text = _digits(value) if integers else value
        if not isinstance(text, str) or not match(text):
            raise ValueError(rule)
        return text

    return check


def _digits(value: Any) -> Any:
    """Write an integer as a string; any other value is returned unchanged."""
    integer = isinstance(value, int) and not isinstance(value, bool)
    # No field has as many digits; Python refuses to write thousands of them.
    return str(value) if integer and abs(value) < 10**MAX_EXTENSION else value


def _extension(value: Any, extended: bool) -> str:
    text = _digits(value)
    signs, rule = ("[0-9,]", "digits and commas") if extended else ("[0-9]", "digits")
    if not isinstance(text, str) or not re.fullmatch(f"{signs}{{1,{MAX_EXTENSION}}}", text):
        raise ValueError(f"must be 1 to {MAX_EXTENSION} {rule}")
    return text


def _extension_type(value: Any, extended: bool) -> str:
    if not extended:
        raise ValueError(_NO_FIELD)
    if not isinstance(value, str | int) or str(value) not in ("1", "2"):
        raise ValueError("must be 1 (PBX) or 2 (live operator)")
    return str(value)


def _language(value: Any, extended: bool) -> str:
    names = LANGUAGES + EXTENDED_LANGUAGES if extended else LANGUAGES
    if value not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    return str(value)


def _note(value: Any, _: bool) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE or not _encodable(value):
        raise ValueError(f"must be a string of at most {MAX_NOTE} characters")
    return value


def _encodable(text: str) -> bool:
    """Tell whether UTF-8 can carry the text. It cannot carry a lone surrogate, which JSON can spell."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(value: Any, _: bool) -> str:
    """Return a time as it is written, once the calendar is known to have it; a datetime is written in RFC 3339."""
    try:
        return _written(value)
    except (ValueError, OverflowError):
        rule = "must be an RFC 3339 time with an offset, such as 2026-11-22T08:15:30Z"
        raise ValueError(rule) from None


def _trace_context(value: Any, _: bool) -> str:
    # What is in the string is not judged: by the standard, a receiver ignores a context that it cannot read.
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _written(value: Any) -> str:
    """Return the text of a time. Raises ValueError, or OverflowError for a year before 1 or after 9999 in UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    form = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if form is None:
        raise ValueError("not RFC 3339")
    # Python knows no leap seconds: read the second before it and add one.
    leap = form[1] == "60"
    spelled = f"{form[0][:17]}59{form[0][19:]}" if leap else form[0]
    datetime.fromisoformat(spelled.upper()).astimezone(UTC) + timedelta(seconds=leap)
    return form[0]


_RULES: dict[str, _Rule] = {
    "id": _text(_ID.pattern, "must be 1 to 64 characters of A-Z a-z 0-9 _ : -"),
    "account": _text(r"[A-Za-z0-9_.-]{1,64}", "must be the name of an account"),
    "country": _text(r"[1-9][0-9]{0,2}", "must be a country calling code of 1 to 3 digits", integers=True),
    "phone": _text(r"[0-9]{5,15}", "must be 5 to 15 digits and nothing else", integers=True),
    "code": _text(
        r"[1-9][0-9]{2,4}", "must be a number from 100 to 99999 without a leading zero", integers=True
    ),
    "ext": _extension,
    "exttype": _extension_type,
    "message": _language,
    "ref": _note,
    "expires_at": _time,
    "traceparent": _trace_context,
    "tracestate": _trace_context,
}
"""Each field of a job with its rule, in the order in which errors name them."""
_REQUIRED = {"account", "country", "phone", "code"}
