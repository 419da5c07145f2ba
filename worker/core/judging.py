"""Judges a message: a job to admit, a job to reject with reasons, or a message that no event can answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from worker.core.accounts import Account, Accounts
from worker.core.cancels import Cancel
from worker.core.events import UNKNOWN_ACCOUNT, Failure, Subject
from worker.core.jobs import ACCOUNT_PATTERN, ID_PATTERN, REPEATED, Job, mask
from worker.core.records import Source
from worker.core.repeats import content, raw_content
from worker.core.trace_context import NAMES, TRACEPARENT, Origin
from worker.errors import InvalidJob

CANCEL = "cancel"
"""The field that has the id of a job to take back."""
_NAMED = {"id": ID_PATTERN, "account": ACCOUNT_PATTERN}
"""What a job must name so that an event can answer it."""
MAX_MESSAGE_BYTES = 64 * 1024
MAX_MARKS = 2000
"""The most lists, objects and names in a message. Each takes hundreds of bytes when decoded, however short it is."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A producer's message: its decoded fields, and the id and the trace context to use if they contain none.

    `trace` has what the headers of the message hold under the names of `trace_context.NAMES`. `cancels` says that the
    message takes a job back: then the field `cancel` has the job's id.
    """

    fields: Mapping[str, Any]
    source: Source
    default_id: str | None = None
    trace: Mapping[str, Any] = field(default_factory=dict)
    cancels: bool = False


@dataclass(frozen=True, slots=True)
class Valid:
    """A job that may be admitted under its account."""

    job: Job
    account: Account


@dataclass(frozen=True, slots=True)
class Rejected:
    """A job that has an id and the name of an account, but is not valid or not allowed. It ends as `call.rejected`.

    `content` is what tells a repeat from a different job, see `worker.core.repeats`.
    """

    subject: Subject
    failure: Failure
    content: str = field(repr=False)
    origin: Origin


@dataclass(frozen=True, slots=True)
class Broken:
    """A message that no event can answer. It becomes a dead letter; `reason` says what is wrong.

    `job_id` is the id to use if the fields contain none.
    """

    reason: str
    job_id: str | None = None


TOO_LARGE = Broken(f"larger than {MAX_MESSAGE_BYTES} bytes")
OVERLOADED = Broken(f"more than {MAX_MARKS} lists, objects and names")


def read_json(text: bytes | str) -> Any:
    """Decode JSON as `json.loads` does, but faster if pydantic can read it. Raises ValueError, RecursionError."""
    try:
        return from_json(text, cache_strings="keys")
    except ValueError:
        return json.loads(text)


def is_overloaded(text: bytes | str) -> bool:
    """Return whether a message has more than `MAX_MARKS` lists, objects and names, far more than any job."""
    marks: tuple[Any, ...] = (b"{", b"[", b":") if isinstance(text, bytes) else ("{", "[", ":")
    return sum(map(text.count, marks)) > MAX_MARKS


def read_once(text: bytes | str) -> Any:
    """Decode JSON from a producer. A name that occurs more than once gets the value REPEATED.

    Raises RecursionError and ValueError, also for NaN and Infinity, which are not JSON.
    """
    return _decode(text if isinstance(text, str) else text.decode(json.detect_encoding(text)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = Counter(name for name, _ in pairs)
    return {name: value if names[name] == 1 else REPEATED for name, value in found.items()}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode


def plain(fields: Mapping[str, Any], source: Source, trace: Mapping[str, Any] | None = None) -> Submission:
    """Tell a plain JSON job from a cancel, which has `cancel` in place of `id`."""
    return Submission(fields, source, trace=trace or {}, cancels=CANCEL in fields and "id" not in fields)


def decode(body: bytes | str) -> dict[str, Any] | Broken:
    """Read the fields of a plain JSON job."""
    if len(body) > MAX_MESSAGE_BYTES:
        return TOO_LARGE
    if is_overloaded(body):
        return OVERLOADED
    try:
        fields = read_once(body)
    except (ValueError, RecursionError):
        return Broken("not valid JSON")
    return fields if isinstance(fields, dict) else Broken("not a JSON object")


def judge(
    submission: Submission, accounts: Accounts, *, extended: bool = False, traced: bool = False
) -> Valid | Rejected | Cancel | Broken:
    """Check a submission against the contract and the accounts file. Never raises.

    Unless the worker is `traced`, the job has no trace context: the record of a job must not pay for what nobody uses.
    """
    fields = submission.fields
    if submission.cancels:
        return _cancel(fields)
    if fields.get("id") is None and submission.default_id is not None:
        fields = {**fields, "id": submission.default_id}
    if traced and submission.trace and fields.get(TRACEPARENT) is None:
        fields = {**fields, **_context(submission.trace)}
    try:
        job = Job.parse(fields, extended=extended)
        if job.traceparent is not None and not traced:
            job = job.model_copy(update=dict.fromkeys(NAMES))
    except InvalidJob as error:
        broken = _unanswerable(fields)
        failure = Failure(error.code, error.message, error.fields)
        return broken or _rejected(fields, failure, raw_content(fields))
    account = accounts.get(job.account)
    if account is None:
        reason = {"account": "is not in the accounts file"}
        return _rejected(fields, Failure(UNKNOWN_ACCOUNT, "no such account", reason), content(job))
    if not account.may_dial(job.country):
        reason = {"country": "is not among the countries of the account"}
        failure = Failure("DESTINATION_BLOCKED", "the account may not dial there", reason)
        return _rejected(fields, failure, content(job))
    return Valid(job, account)


def _context(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return the trace context of headers. A header that is no text is no context, and no error of the job."""
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _cancel(fields: Mapping[str, Any]) -> Cancel | Broken:
    given = {name: value for name, value in fields.items() if value is not None}
    if others := given.keys() - {CANCEL, "account"}:
        return Broken(f"a cancel has {CANCEL} and account only, and this one {len(others)} more")
    forms = {CANCEL: ID_PATTERN, "account": ACCOUNT_PATTERN} if "account" in given else {CANCEL: ID_PATTERN}
    return _unanswerable(given, forms) or Cancel(given[CANCEL], given.get("account"))


def _unanswerable(fields: Mapping[str, Any], forms: Mapping[str, re.Pattern[str]] = _NAMED) -> Broken | None:
    for name, pattern in forms.items():
        value = fields.get(name)
        if value is None:
            return Broken(f"{name}: is required")
        if value is REPEATED:
            return Broken(f"{name}: occurs more than once")
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return Broken(f"{name}: is not well-formed")
    return None


def _rejected(fields: Mapping[str, Any], failure: Failure, content: str) -> Rejected:
    """Return a rejection with those fields of the event that are well-formed."""

    def good(name: str) -> str | None:
        value = fields.get(name)
        return None if value is None or name in (failure.fields or ()) else str(value)

    phone = good("phone")
    subject = Subject(fields["id"], fields["account"], good("ref"), good("country"), phone and mask(phone))
    return Rejected(subject, failure, content, Origin.read(subject.id, subject.account, fields))
