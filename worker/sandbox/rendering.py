"""Writes the bodies of answers: a `response` or a `failed` object in JSON or XML. Every value is text in both formats.

Source: docs/explanation/provider.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from xml.sax.saxutils import escape

Format = Literal["json", "xml"]
Kind = Literal["response", "failed"]

CONTENT_TYPES: dict[Format, str] = {
    "json": "application/json; charset=UTF-8",
    "xml": "text/xml; charset=UTF-8",
}
ERROR_MESSAGES = {
    "INVALID_KEY": "The API key provided is not valid.",
    "INVALID_COUNTRY": "The country code provided is not valid.",
    "INVALID_TELEPHONE": "The telephone number provided is not valid.",
    "INVALID_CODE": "The code provided is not valid.",
    "INVALID_EXT": "The extension provided is not valid.",
    "INVALID_MESSAGE": "The message language provided is not valid.",
    "INVALID_TELEREFERENCE": "The reference ID provided is not valid.",
    "NO_POINTS": "The account has no points left.",
    "CARRIER_SUSPENDED": "The carrier of this number is suspended.",
}


def render(fmt: Format, kind: Kind, members: Mapping[str, str]) -> bytes:
    """The body of an answer: `members` in order, under `kind`, as valid JSON or XML in UTF-8."""
    if fmt == "xml":
        return _xml(kind, members)
    envelope = {"version": "1.0", "encoding": "UTF-8", kind: members}
    return json.dumps(envelope, separators=(",", ":")).encode()


def render_failed(fmt: Format, error_code: str) -> bytes:
    """The `failed` body for an error code."""
    return render(fmt, "failed", {"error_code": error_code, "error_msg": ERROR_MESSAGES[error_code]})


def render_ref(fmt: Format, ref: str, *, unquoted: bool) -> bytes:
    """The body for a placed call. `unquoted` spells JSON like the documented example, which is not valid JSON."""
    if fmt == "json" and unquoted:
        return b'{"version":"1.0","encoding":"UTF-8","response":{"ref":%s}}' % ref.encode()
    return render(fmt, "response", {"ref": ref})


def _xml(kind: Kind, members: Mapping[str, str]) -> bytes:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind}>{inner}</{kind}>\n'.encode()
