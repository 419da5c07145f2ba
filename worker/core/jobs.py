"""A call-verification job as producers send it, with the checks of its fields and the form in which Redis keeps it.

Source: docs/reference/contract.md, "A job"; docs/explanation/provider.md, "Placing a call".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from worker.core import trace_context
from worker.core.trace_context import Origin
from worker.errors import InvalidJob

ID_PATTERN = re.compile(r"[A-Za-z0-9_:-]{1,64}")
ACCOUNT_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LANGUAGES = (
    "Chinese", "English", "French", "German", "Hebrew", "Italian",
    "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Spanish",
)  # fmt: skip
EXTENDED_LANGUAGES = ("Arabic", "Hindi", "Hungarian", "Romanian", "Ukranian", "Vietnamese")
"""Languages that only an older page of the provider lists, in its spelling. The operator can allow them."""
DEFAULT_LANGUAGE = "English"
MAX_NOTE = 255
"""Characters of `ref`."""
MAX_EXTENSION = 20
"""Characters of `ext`."""
MASKED_DIGITS = 4
"""The digits of a phone number that stay visible when it is masked."""

REPEATED = object()
"""The value of a name that occurs more than once in a JSON object, because nobody may choose between two numbers."""

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""A time outside this range counts as the nearer end of it: the scripts in Redis count microseconds in doubles."""

_PACKED = ("country", "phone", "code", "ref", "message", "expires_at", "ext", "exttype")
"""The fields of a packed job's array, in order: those that most jobs have come first. Add new fields at the end.

A worker of an earlier version cannot read a longer array than its own, and never dials such a job. What it may ignore
belongs behind the array.
"""
_PLAIN = frozenset({"id", "account", "country", "phone", "code"})
MAX_FIELDS_NAMED = 32
"""The most fields that one error names, those of a job first. A message can have thousands of names."""

MAX_HARMLESS_DIGITS = 2
"""The most digits of an unknown name that an error shows: a name with more of them may be a PIN."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_DIGIT = re.compile(r"[0-9]")
_INTEGERS = frozenset({"country", "phone", "code", "ext"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:([0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A field that holds a string which matches `pattern` as a whole; `rule` is the error for any other value."""

    pattern: str
    rule: str

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=f"^(?:{self.pattern})$")
        return core_schema.custom_error_schema(text, "rule", custom_error_message=self.rule)


def _spelled(pattern: str) -> WithJsonSchema:
    """Return the JSON Schema of strings that match `pattern` as a whole."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern})$"})


def _note(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE or not _encodable(value):
        raise PydanticCustomError("rule", "must be a string of at most {most} characters", {"most": MAX_NOTE})
    return value


def _extended(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("extended"))


def _language(value: object, info: ValidationInfo) -> str:
    names = LANGUAGES + EXTENDED_LANGUAGES if _extended(info) else LANGUAGES
    if value not in names:
        raise PydanticCustomError("rule", "must be one of {names}", {"names": ", ".join(names)})
    return str(value)


def _extension(value: object, info: ValidationInfo) -> str:
    signs, rule = ("[0-9,]", "digits and commas") if _extended(info) else ("[0-9]", "digits")
    if not isinstance(value, str) or not re.fullmatch(f"{signs}{{1,{MAX_EXTENSION}}}", value):
        raise PydanticCustomError("rule", "must be 1 to {most} {rule}", {"most": MAX_EXTENSION, "rule": rule})
    return value


def _extension_type(value: object, info: ValidationInfo) -> str:
    if not _extended(info):
        raise PydanticCustomError("extra_forbidden", "not a field")
    if not isinstance(value, str | int) or str(value) not in ("1", "2"):
        raise PydanticCustomError("rule", "must be 1 (PBX) or 2 (live operator)")
    return str(value)


def _trace_context(read: Callable[[str], str | None]) -> BeforeValidator:
    def check(value: object) -> str | None:
        if not isinstance(value, str):
            raise PydanticCustomError("rule", "must be a string")
        return read(value)

    return BeforeValidator(check)


def _moment(value: object) -> datetime:
    try:
        return min(max(_instant(value), EARLIEST), LATEST)
    except (ValueError, OverflowError) as error:
        rule = "must be an RFC 3339 time with an offset, such as 2026-11-22T08:15:30Z"
        raise PydanticCustomError("rule", "{rule}", {"rule": rule}) from error


def _instant(value: object) -> datetime:
    """Read a time as UTC. Raises ValueError, or OverflowError for a year before 1 or after 9999 in UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    form = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if form is None:
        raise ValueError("not RFC 3339")
    # Python knows no leap seconds: read the second before it and add one.
    leap = timedelta(seconds=form[1] == "60")
    spelled = f"{form[0][:17]}59{form[0][19:]}" if leap else form[0]
    return datetime.fromisoformat(spelled.upper()).astimezone(UTC) + leap


def _encodable(text: str) -> bool:
    """Tell whether UTF-8 can carry the text. It cannot carry a lone surrogate, which JSON can spell."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Id = Annotated[str, _Text(ID_PATTERN.pattern, "must be 1 to 64 characters of A-Z a-z 0-9 _ : -")]
AccountName = Annotated[str, _Text(ACCOUNT_PATTERN.pattern, "must be the name of an account")]
Country = Annotated[str, _Text("[1-9][0-9]{0,2}", "must be a country calling code of 1 to 3 digits")]
Phone = Annotated[str, _Text("[0-9]{5,15}", "must be 5 to 15 digits and nothing else")]
Pin = Annotated[str, _Text("[1-9][0-9]{2,4}", "must be a number from 100 to 99999 without a leading zero")]
# JSON Schema cannot read a Python validator, so each rule is repeated for it, without the provider's older page.
Extension = Annotated[str, BeforeValidator(_extension), _spelled(f"[0-9]{{1,{MAX_EXTENSION}}}")]
ExtensionType = Annotated[str, BeforeValidator(_extension_type)]
Note = Annotated[str, BeforeValidator(_note), WithJsonSchema({"type": "string", "maxLength": MAX_NOTE})]
Language = Annotated[str, BeforeValidator(_language), WithJsonSchema({"enum": list(LANGUAGES)})]
TraceParent = Annotated[
    str | None, _trace_context(trace_context.traceparent), WithJsonSchema({"type": "string"})
]
TraceState = Annotated[
    str | None, _trace_context(trace_context.tracestate), WithJsonSchema({"type": "string"})
]
Moment = Annotated[datetime, BeforeValidator(_moment), _spelled(_RFC3339.pattern)]


class Job(BaseModel):
    """One call to place: which account pays, which number rings, which PIN is spoken.

    `repr()` and `str()` leave out the PIN and the number, so that no log line and no traceback can show them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Id
    account: AccountName
    country: Country
    phone: Phone = Field(repr=False)
    code: Pin = Field(repr=False)
    ext: Extension | None = Field(default=None, repr=False)
    exttype: ExtensionType | None = None
    message: Language = DEFAULT_LANGUAGE
    ref: Note | None = Field(default=None, repr=False)
    expires_at: Moment | None = None
    traceparent: TraceParent = Field(default=None, repr=False)
    tracestate: TraceState = Field(default=None, repr=False)

    @classmethod
    def parse(cls, fields: object, *, extended: bool = False) -> Self:
        """Check `fields` against the contract; a field that is null counts as absent.

        `extended` also allows what only the provider's older page has: `exttype`, commas in `ext` and six more
        languages. Raises InvalidJob, which names each wrong field, never its value.
        """
        if not isinstance(fields, Mapping):
            raise InvalidJob(
                "INVALID_JOB", "the job is not valid", {"job": "must be an object with the job's fields"}
            )
        context = {"extended": extended}
        try:
            # Most jobs are valid as they are.
            return cls.model_validate(fields, context=context)
        except ValidationError:
            given = {
                _shown(name, place): _digits(name, value)
                for place, (name, value) in enumerate(fields.items(), start=1)
                if value is not None
            }
        try:
            return cls.model_validate(given, context=context)
        except ValidationError as error:
            errors = islice((_field_errors(error) | _repeats(given)).items(), MAX_FIELDS_NAMED)
            raise InvalidJob("INVALID_JOB", "the job is not valid", dict(errors)) from None

    def packed(self) -> str:
        """Write the job in few bytes, without its id and account.

        The form is a JSON array of the fields that `_PACKED` names. A field that is absent or has its default is null,
        and nulls at the end are left out. Times are in Unix microseconds. The trace context, if there is one, is a line
        of its own behind the array; the record keeps it apart, where workers of 0.1.0 do not look.
        """
        if self.model_fields_set <= _PLAIN:
            # Digits need no escapes.
            return f'["{self.country}","{self.phone}","{self.code}"]'
        array = json.dumps(self._values(), ensure_ascii=False, separators=(",", ":"))
        context = " ".join(filter(None, (self.traceparent, self.tracestate))) if self.traceparent else ""
        return f"{array}\n{context}" if context else array

    def _values(self) -> list[Any]:
        message = None if self.message == DEFAULT_LANGUAGE else self.message
        expires_us = self.expires_at and (self.expires_at - _EPOCH) // timedelta(microseconds=1)
        values = [self.country, self.phone, self.code, self.ref, message, expires_us, self.ext, self.exttype]
        while values[-1] is None:
            values.pop()
        return values

    @property
    def origin(self) -> Origin:
        """From which the job's trace follows."""
        return Origin(self.id, self.account, self.traceparent, self.tracestate)

    @classmethod
    def unpacked(cls, job_id: str, account: str, text: str | bytes) -> Self:
        """Read a job that `packed` wrote, or the JSON object of all fields that an earlier version wrote.

        Raises ValueError (InvalidJob is one), TypeError or OverflowError for any other text.
        """
        array, _, context = (text.decode() if isinstance(text, bytes) else text).partition("\n")
        found = json.loads(array)
        if isinstance(found, dict):
            return cls.parse(found, extended=True)
        if not isinstance(found, list) or len(found) > len(_PACKED):
            raise ValueError("not a packed job")
        fields = {name: value for name, value in zip(_PACKED, found, strict=False) if value is not None}
        if "expires_at" in fields:
            fields["expires_at"] = _EPOCH + timedelta(microseconds=fields["expires_at"])
        if context:
            fields |= zip(trace_context.NAMES, context.split(" ", 1), strict=False)
        return cls.parse({**fields, "id": job_id, "account": account}, extended=True)


def mask(phone: str) -> str:
    """Replace all but the last four digits with stars: "2125555555" → "******5555"."""
    return "*" * max(len(phone) - MASKED_DIGITS, 0) + phone[-MASKED_DIGITS:]


def name_of_unknown(name: object, place: int, what: str = "field") -> str:
    """Return the name if it could be that of a field, else its place, as "field 3": it may be a PIN or number."""
    harmless = (
        isinstance(name, str) and _NAME.fullmatch(name) and len(_DIGIT.findall(name)) <= MAX_HARMLESS_DIGITS
    )
    return str(name) if harmless else f"{what} {place}"


def _field_errors(problem: ValidationError) -> dict[str, str]:
    errors: dict[str, str] = {}
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        name = str(error["loc"][0])
        errors.setdefault(name, _WORDS.get(error["type"], error["msg"]))
    return errors


def _repeats(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: "occurs more than once" for name, value in given.items() if value is REPEATED}


_WORDS = {"missing": "is required", "extra_forbidden": "is not a field of a job"}


def _shown(name: object, place: int) -> str:
    return str(name) if name in Job.model_fields else name_of_unknown(name, place)


def _digits(name: object, value: Any) -> Any:
    """Write an integer as a string, in a field that may be an integer. Any other value is returned unchanged."""
    integer = name in _INTEGERS and isinstance(value, int) and not isinstance(value, bool)
    return str(value) if integer and abs(value) < 10**20 else value
