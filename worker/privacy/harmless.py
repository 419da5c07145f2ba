"""Chooses the parts of a message that a dead letter may keep: the values of a job's harmless fields, and other names.

In a message that no event can answer, a PIN or a phone number may be under any name, in a name, in a list, or in text
that is not JSON. So nothing is searched for: a value is kept if it belongs to a job's own field and has that field's
form. Everything else is left out or replaced by stars.

Known weakness: in text that is not JSON a PIN spelled out in words is kept. So is a PIN of one to three digits under
`country`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from worker.core import trace_context
from worker.core.jobs import (
    ACCOUNT_PATTERN,
    EXTENDED_LANGUAGES,
    ID_PATTERN,
    LANGUAGES,
    MAX_NOTE,
    Job,
)
from worker.core.judging import MAX_MESSAGE_BYTES, is_overloaded, read_json
from worker.privacy.labelled import REDACTED, masked
from worker.privacy.redaction import redactor
from worker.privacy.scrubbing import starred

MAX_TEXT = 2048
"""Characters to keep of a message without fields."""

MAX_NAMES, MAX_NAME, MAX_DEPTH = 40, 64, 4

_PHONE = re.compile(r"[0-9]{7,15}")
_MOMENT = re.compile(r"[0-9]{4}(?:-[0-9]{2}){2}[Tt ][0-9]{2}(?::[0-9]{2}){2}[0-9.:+Zz-]{1,24}")
_COUNTRY = re.compile(r"[1-9][0-9]{0,2}")
_LONG_ID = re.compile(r"[0-9]{16,}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}")
_NUMBER = re.compile(r"^[0-9]+$|^[0-9](?:[._:-][0-9]){2,4}$|[0-9](?:[._:-]?[0-9]){6,}+")


def harmless(content: Mapping[str, Any] | bytes) -> Any:
    """Reduce a message to a dict of its harmless fields, or to a text. It has a few kilobytes at most.

    May raise any exception.
    """
    if isinstance(content, Mapping):
        return _fields(content)
    if len(content) > MAX_MESSAGE_BYTES or is_overloaded(content):
        return _text(content)
    try:
        document = read_json(content)
    except (ValueError, RecursionError):
        return _text(content)
    return _document(document)


def harmless_id(job_id: str | None) -> str:
    """The id of a job if all of it may be kept, else an empty text: an id with stars in it is not an id."""
    kept = "" if job_id is None or not ID_PATTERN.fullmatch(job_id) else _KEPT["id"](job_id)
    return kept if kept == job_id else ""


def to_send_again(content: object) -> tuple[dict[str, Any], list[str]]:
    """Split what `harmless` kept: the fields that are unchanged, and the names of job fields that are not.

    A trace context is in neither: a job that a person sends again is no part of the old trace.
    """
    fields = content if isinstance(content, dict) else {}
    own = {
        name: value
        for name, value in fields.items()
        if name in Job.model_fields and name not in trace_context.NAMES and value is not None
    }
    whole = {name: value for name, value in own.items() if _is_whole(name, value)}
    return whole, [name for name in own if name not in whole]


def _is_whole(name: str, value: object) -> bool:
    text = str(value)
    return name in _KEPT and "*" not in text and REDACTED not in text


def _document(document: Any) -> Any:
    """Keep the keyword arguments of a Celery message, and the number of its positional ones."""
    match document:
        case [list() as args, dict() as kwargs, *_]:
            return _fields(kwargs) | ({"positional": len(args)} if args else {})
        case {"task": task, "kwargs": dict() as kwargs}:
            return {"task": _words(str(task), MAX_NAME), **_fields(kwargs)}
        case dict():
            return _fields(document)
        case _:
            return _shape(document, 0)


def _fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    return {_name(name): _field(name, value) for name, value in _first(fields.items())}


def _field(name: Any, value: Any) -> Any:
    keep = _KEPT.get(name) if isinstance(name, str) else None
    if keep is not None and isinstance(value, str | int) and not isinstance(value, bool):
        kept = keep(str(value))
        return value if keep is _country and kept == str(value) else kept
    return _shape(value, 0)


def _shape(value: Any, depth: int) -> Any:
    """Leave out the content of a value, but keep the names in nested objects."""
    if value is None or isinstance(value, bool):
        return value
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_name(name): _shape(item, depth + 1) for name, item in _first(value.items())}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_shape(item, depth + 1) for item in _first(value)]
    return REDACTED


def _first(items: Any) -> Iterator[Any]:
    for _, item in zip(range(MAX_NAMES), items, strict=False):
        yield item


def _name(name: Any) -> str:
    return name if isinstance(name, str) and name in Job.model_fields else _words(str(name), MAX_NAME)


def _words(text: str, most: int) -> str:
    """The first `most` characters of a text, without secrets and with stars for each word that could hide a PIN."""
    return starred(redactor.text(text[:most]))


def _text(content: bytes) -> str:
    try:
        text = content[: 4 * MAX_TEXT].decode("utf-8", "strict" if len(content) <= 4 * MAX_TEXT else "ignore")
    except UnicodeDecodeError:
        return "[binary]"
    return _words(text, MAX_TEXT)


def _identifier(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def keep(value: str) -> str:
        if not pattern.fullmatch(value):
            return _words(value, MAX_NAME)
        return value if _LONG_ID.search(value) else _NUMBER.sub(lambda run: "*" * len(run[0]), value)

    return keep


def _country(value: str) -> str:
    return value if _COUNTRY.fullmatch(value) else REDACTED


def _language(value: str) -> str:
    return value if value in LANGUAGES + EXTENDED_LANGUAGES else REDACTED


def _moment(value: str) -> str:
    return value if _MOMENT.fullmatch(value) else REDACTED


def _extension_type(value: str) -> str:
    return value if value in ("1", "2") else REDACTED


def _phone(value: str) -> str:
    return masked(value) if _PHONE.fullmatch(value) else REDACTED


_KEPT: Mapping[str, Callable[[str], str]] = {
    "id": _identifier(ID_PATTERN),
    "account": _identifier(ACCOUNT_PATTERN),
    "cancel": _identifier(ID_PATTERN),
    "country": _country,
    "phone": _phone,
    "message": _language,
    "expires_at": _moment,
    "exttype": _extension_type,
    "ref": lambda value: _words(value, MAX_NOTE),
}
"""The function that decides, for each field, what to keep of its value."""
