"""Reads the bytes of an answer as plain objects: JSON in both of its spellings, and XML. Only well-formed text passes.

For any bytes `document` either returns, or raises `NoDocument` or `Garbled` and nothing else.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

SPACE = b" \t\r\n"
MAX_DEPTH = 20
"""Levels of nested objects or elements. An element of XML at this depth is read as its text."""
MAX_PARTS = 4000
"""Signs and words of JSON, or tags of XML, that the second, slower reading looks at. An answer has a few dozen."""

_SCHEMA_NAMES = ("nil", "type")
"""Attributes of XML Schema. Libraries of .NET and Java mark an empty element by `xsi:nil="true"`."""

Document = dict[str, Any]
"""An object. Its leaves are strings; in JSON they may also be None or booleans."""


class NoDocument(Exception):
    """Signals bytes that are not a document in either format, so the body says nothing."""


class Garbled(Exception):
    """Signals a damaged or contradictory answer that allows no conclusion. The message quotes none of it."""


def document(body: bytes) -> Document:
    """Read the document in `body`. Its first character shows the format.

    Raises NoDocument, and Garbled if a key occurs twice with different values.
    """
    # Expat takes neither spaces nor a second mark before the declaration.
    body = body.lstrip(SPACE).removeprefix(BOM_UTF8).lstrip(SPACE)
    try:
        return _json(body) if body.startswith((b"{", b"[")) else _xml(body)
    except (Garbled, NoDocument):
        raise
    except Exception as error:
        # Deep nesting, unknown encodings, entity bombs: the parsers have many ways to give up.
        raise NoDocument(type(error).__name__) from None


# The documented example: {"response": {"ref": 97A677DD3E0A42B8EA58D93D05BAC89F}}. The ref is quoted before the text is
# parsed, because a ref that looks like a number (all digits, or 12E4567…) would be changed by the parser.
_BARE_REF = re.compile(r'(?<!\\)("ref"\s*:\s*)([0-9A-Za-z]{32})(?=\s*[,}])')


def _json(body: bytes) -> Document:
    # Replacing bytes that are not UTF-8 can harm a message, never a ref or a code.
    found = _parse(_BARE_REF.sub(_quoted, body.decode(errors="replace")))
    if not isinstance(found, dict):
        raise NoDocument("not an object")
    return found


def _quoted(bare: re.Match[str]) -> str:
    return f'{bare[1]}"{bare[2]}"'


def _xml(body: bytes) -> Document:
    root = fromstring(body, forbid_dtd=True)
    return {local_name(root.tag): members(root)}


def local_name(tag: str) -> str:
    """The name without its namespace."""
    return tag.rpartition("}")[2]


def members(element: Element) -> str | Document:
    """The element's children by name, or if it has none its text, or if that is empty its attributes.

    Raises Garbled if children with one name differ.
    """
    if len(element):
        return once((local_name(child.tag), _content(child)) for child in element)
    text = (element.text or "").strip()
    attributes = {local_name(name): value for name, value in element.attrib.items()}
    return text or {name: value for name, value in attributes.items() if name not in _SCHEMA_NAMES}


def _content(element: Element, depth: int = MAX_DEPTH) -> Any:
    if not len(element) or not depth or (element.text or "").strip():
        return "".join(element.itertext()).strip()
    if len({child.tag for child in element}) < len(element):
        return [_content(child, depth - 1) for child in element]
    return {local_name(child.tag): _content(child, depth - 1) for child in element}


def once(pairs: Iterable[tuple[str, Any]]) -> Document:
    """Make a dict of the pairs. Raises Garbled if one name has two values."""
    found: Document = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise Garbled("it says one thing twice, differently")
    return found


_parse = json.JSONDecoder(object_pairs_hook=once, parse_int=str, parse_float=str, parse_constant=str).decode
