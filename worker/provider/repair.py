"""Reads a second time, leniently, a body that strict reading refused.

The phone rings, or the account has no points left, whether or not every byte of the answer is well-formed. Nothing is
invented: a document that is cut short stays unreadable. The time grows with the length of the body, no faster.
"""

from __future__ import annotations

import html
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from typing import Any

from worker.provider import loose_json, loose_xml
from worker.provider.bodies import SPACE, Document, Garbled, NoDocument, once

HALVES = ("response", "failed")
_ESCAPED_HALF = re.compile(
    r"&lt;(?:response|failed)\b|&(?:quot|#0?3[49]|#[xX]2[27]|apos);(?:response|failed)&", re.IGNORECASE
)
_MENTIONS_RESPONSE = re.compile(r'<\s*response\b|["\']?\bresponse["\']?\s*:', re.IGNORECASE)


def repaired(body: bytes) -> Document:
    """Find the `response` and `failed` in `body`, at any place and with names in any case.

    Raises NoDocument for a body that is not an answer, and Garbled for an answer that contradicts itself, or that
    mentions a `response` and cannot be read.
    """
    text = _text(body)
    try:
        return once(_halves(_read(text)))
    except NoDocument:
        if _MENTIONS_RESPONSE.search(text):
            raise Garbled("it mentions a response and cannot be read") from None
        raise NoDocument("neither JSON nor XML") from None


def _read(text: str) -> Document:
    if not text.startswith(("{", "[")) and loose_xml.mentions_a_half(text):
        return loose_xml.read(text)
    return loose_json.read(text)


def _text(body: bytes) -> str:
    """Decode the body. An unknown encoding can harm a letter of a message, never a ref or a code."""
    body = body.lstrip(SPACE)
    text = body.removeprefix(BOM_UTF8).decode(_encoding(body), errors="replace")
    return _unwrapped(text.strip("\ufeff\0 \t\r\n"))


def _encoding(body: bytes) -> str:
    """Guess the encoding from the byte order mark, or from the zero bytes among the first four."""
    zeros = [not byte for byte in body[:4]]
    if body.startswith(BOM_UTF16_LE) or zeros == [False, True] * 2:
        return "utf-16-le"
    if body.startswith(BOM_UTF16_BE) or zeros == [True, False] * 2:
        return "utf-16-be"
    return "utf-8"


def _unwrapped(text: str) -> str:
    """Undo one encoding of a document that was encoded twice: JSON in a JSON string, or XML in the text of XML."""
    if text.startswith('"'):
        return loose_json.unescaped(text.strip('"'))
    if _ESCAPED_HALF.search(text) and not loose_xml.mentions_a_half(text):
        return html.unescape(text)
    return text


def _halves(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield the outermost `response` and `failed`, with the keys in them in lower case."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            named = _lowered(value)
            sides = [(name, named[name]) for name in HALVES if name in named]
            yield from ((name, _lowered(side)) for name, side in sides)
            waiting += [] if sides else value.values()


def _lowered(value: Any) -> Any:
    """Spell the names in lower case. Raises Garbled if names that differ only in case have different values."""
    if not isinstance(value, dict):
        return value
    return once((name.lower().replace("-", "_"), member) for name, member in value.items())
