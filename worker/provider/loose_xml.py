"""Reads XML that is nearly well-formed: it repairs the text and parses it again. Document types stay forbidden."""

from __future__ import annotations

import re
import sys
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from worker.provider.bodies import MAX_PARTS, Document, NoDocument, members

_HALF = re.compile(r"</?(?:[\w.-]+:)?(?:response|failed)(?![\w.-])[^<>]*>", re.IGNORECASE)
_DOCUMENT_TYPE = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
# Each pattern stops at the next "<" or has a bounded length, so the time grows with the length of the text, no faster.
_INSTRUCTION = re.compile(r"<\?[^<>]*>")
_MARKUP = re.compile(r"</?(?:a|b|br|div|em|font|hr|i|p|span|strong|u)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")
_PREFIXED_ATTRIBUTE = re.compile(r"(?<=\s)[\w.-]+:([\w.-]+\s?=)")
_STRAY_LESS = re.compile(r"<(?![A-Za-z_/])")
_STRAY_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)")
_NUMBERED = re.compile(r"&#(?:([0-9]{1,7})|[xX]([0-9A-Fa-f]{1,6}));")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def mentions_a_half(text: str) -> bool:
    """Tell whether the text has a tag `response` or `failed`."""
    return bool(_HALF.search(text))


def read(text: str) -> Document:
    """Read every `response` and `failed` of `text`, and ignore the text before the first and after the last.

    Raises NoDocument, and Garbled if one of them gives one name two values.
    """
    if _DOCUMENT_TYPE.search(text) or text.count("<") > MAX_PARTS:
        raise NoDocument("a document type, or too many tags")
    try:
        root = fromstring(f"<answer>{_repaired(_between(text))}</answer>", forbid_dtd=True)
    except Exception as error:  # Parsers can fail in many ways.
        raise NoDocument(type(error).__name__) from None
    return {"answer": [{child.tag: members(child)} for child in root]}


def _between(text: str) -> str:
    """The text from the first tag of a half to the last, without comments, and with CDATA as plain text."""
    text = _comments_dropped(text)
    tags = list(_HALF.finditer(text))
    if not tags:
        raise NoDocument("no answer")
    return _sections_escaped(text[tags[0].start() : tags[-1].end()])


def _comments_dropped(text: str) -> str:
    first, *others = text.split("<!--")
    return first + "".join(other.partition("-->")[2] for other in others)


def _sections_escaped(text: str) -> str:
    first, *others = text.split("<![CDATA[")
    parts = (other.partition("]]>") for other in others)
    return first + "".join(escape(inside) + after for inside, _, after in parts)


def _repaired(text: str) -> str:
    for pattern in (_INSTRUCTION, _MARKUP):
        text = pattern.sub(" ", text)
    text = _NUMBERED.sub(_character, text)
    text = _STRAY_AMPERSAND.sub("&amp;", _STRAY_LESS.sub("&lt;", text))
    text = _TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}", text)
    return _FORBIDDEN.sub(" ", _PREFIXED_ATTRIBUTE.sub(r"\1", text))


def _character(reference: re.Match[str]) -> str:
    """The character that a reference such as `&#233;` or `&#xE9;` stands for."""
    number = int(reference[1]) if reference[1] else int(reference[2], 16)
    return escape(chr(number)) if number <= sys.maxunicode else " "
