"""Reads a few properties of an AMQP message from bytes that may contain anything.

All other properties are skipped by their lengths and not decoded, so impossible times, ids that are no text and nested
tables do no harm and cost nothing.

Source: AMQP 0-9-1, section 4.2.5, with the field types that RabbitMQ uses ("AMQP 0-9-1 Errata", section 3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import unpack_from
from typing import Any

_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS = 0x8000, 0x4000, 0x2000

_FIXED = {
    "t": 1,
    "b": 1,
    "B": 1,
    "s": 2,
    "U": 2,
    "u": 2,
    "I": 4,
    "i": 4,
    "f": 4,
    "D": 5,
    "L": 8,
    "l": 8,
    "d": 8,
    "T": 8,
    "V": 0,
}
"""The size of a value in bytes, by the letter of its type."""
_LONG = "SxFA"
"""Types whose values begin with their length in bytes."""
_INTEGERS = {
    "t": ">?",
    "b": ">b",
    "B": ">B",
    "s": ">h",
    "U": ">h",
    "u": ">H",
    "I": ">i",
    "i": ">I",
    "L": ">q",
    "l": ">q",
}


@dataclass(frozen=True, slots=True)
class Undecoded:
    """The value of a header that is neither text nor an integer; only the letter of its type is known."""

    type: str


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties that were read. `unreadable` says why the rest could not be read; the others are complete."""

    content_type: str | None
    headers: dict[str, Any]
    unreadable: str = ""


def read_properties(raw: bytes, wanted: Mapping[bytes, str]) -> Properties:
    """Read the content type and the `wanted` headers, each under the name given for it. Never raises."""
    content_type, headers = None, dict[str, Any]()
    try:
        (flags,) = unpack_from(">H", raw, 0)
        at = 2
        if flags & _CONTENT_TYPE:
            text, at = _short(raw, at)
            content_type = _text(text)
        if flags & _CONTENT_ENCODING:
            _, at = _short(raw, at)
        if flags & _HEADERS:
            for name, kind, start, end in _table(raw, at):
                if name in wanted:
                    headers[wanted[name]] = _value(kind, raw, start, end)
    except (struct.error, IndexError):
        return Properties(content_type, headers, "they end too soon")
    except KeyError as error:
        return Properties(content_type, headers, f"unknown field type {error.args[0]!r}")
    return Properties(content_type, headers)


def _table(raw: bytes, at: int) -> Iterator[tuple[bytes, str, int, int]]:
    """Yield name, type, start and end of the value of each field. Raises IndexError, KeyError or struct.error."""
    (length,) = unpack_from(">I", raw, at)
    at += 4
    end = at + length
    while at < end:
        name, at = _short(raw, at)
        kind = chr(raw[at])
        start, at = _extent(raw, kind, at + 1)
        if at > len(raw):
            raise IndexError
        yield name, kind, start, at


def _extent(raw: bytes, kind: str, at: int) -> tuple[int, int]:
    """Return where a value begins and ends. Raises KeyError for an unknown type."""
    if kind in _LONG:
        (length,) = unpack_from(">I", raw, at)
        return at + 4, at + 4 + length
    return at, at + _FIXED[kind]


def _value(kind: str, raw: bytes, start: int, end: int) -> Any:
    if kind == "S":
        return _text(raw[start:end])
    if kind in _INTEGERS:
        return unpack_from(_INTEGERS[kind], raw, start)[0]
    return None if kind == "V" else Undecoded(kind)


def _short(raw: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + raw[at]
    if end > len(raw):
        raise IndexError
    return raw[at + 1 : end], end


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
