"""An answer's bytes as plain objects: content coding, JSON in both of its spellings, XML.

Whatever the bytes are, the functions here return or raise `NoDocument` or `Garbled`, and nothing else.
"""

from __future__ import annotations

import json
import re
import zlib
from codecs import BOM_UTF8
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from worker.provider.phases import ANSWER_BYTES

_SPACE = b" \t\r\n"

Document = dict[str, Any]
"""An object of the answer's top level. Its leaves are strings (JSON also has None and booleans)."""


class NoDocument(Exception):
    """The bytes are no document in either format: as an answer they say nothing."""


class Garbled(Exception):
    """A damaged or contradictory answer, from which nothing can be concluded. The message quotes none of it."""


def decoded(body: bytes, content_encoding: str) -> bytes:
    """`body` without its content coding, although none was asked for. Raises Garbled for more than 64 KiB."""
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Garbled("it came in an unknown content coding")
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            return _inflated(body, window)
        except zlib.error:
            continue
    raise Garbled("it is not in the content coding that it names")


def _inflated(body: bytes, window: int) -> bytes:
    stream = zlib.decompressobj(window)
    plain = stream.decompress(body, ANSWER_BYTES + 1)
    if len(plain) > ANSWER_BYTES or not stream.eof or stream.unused_data:
        raise Garbled("it is cut short or too large once decoded")
    return plain


def document(body: bytes) -> Document:
    """The document in `body`, in the format that its first character shows.

    Raises NoDocument, and Garbled where a key stands twice with different values.
    """
    # Expat takes neither spaces nor a second mark before the declaration.
    body = body.lstrip(_SPACE).removeprefix(BOM_UTF8).lstrip(_SPACE)
    try:
        return _json(body) if body.startswith((b"{", b"[")) else _xml(body)
    except (Garbled, NoDocument):
        raise
    except Exception as problem:
        # Deep nesting, unknown encodings, entity bombs: the parsers have many ways to give up.
        raise NoDocument(type(problem).__name__) from None


# The documented example: {"response": {"ref": 97A677DD3E0A42B8EA58D93D05BAC89F}}. Quoted before the text is parsed,
# since such a ref may also be a number (all digits, or 12E4567…) and would come out as another one.
_BARE_REF = re.compile(r'(?<!\\)("ref"\s*:\s*)([0-9A-Fa-f]{32})(?=\s*[,}])')


def _json(body: bytes) -> Document:
    # Replacing what is not UTF-8 can harm a message, never a ref or a code.
    found = _parse(_BARE_REF.sub(_quoted, body.decode(errors="replace")))
    if not isinstance(found, dict):
        raise NoDocument("not an object")
    return found


def _quoted(bare: re.Match[str]) -> str:
    return f'{bare[1]}"{bare[2]}"'


def _xml(body: bytes) -> Document:
    root = fromstring(body, forbid_dtd=True)
    return {_name(root): _once((_name(child), _content(child)) for child in root)}


def _name(element: Element) -> str:
    """The tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _content(element: Element) -> str | Document:
    return {} if len(element) else (element.text or "").strip()


def _once(pairs: Any) -> Document:
    """The pairs as a dict. Raises Garbled where one name has two values."""
    found: Document = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise Garbled("it says one thing twice, differently")
    return found


_parse = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=str).decode
