"""Reads JSON as people and careless servers write it.

Besides proper JSON it takes line breaks in strings, unknown escapes, single quotes, missing quotes, quotes within a
string, missing and superfluous commas, and text around the object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from worker.provider.bodies import MAX_DEPTH, MAX_PARTS, Document, Garbled, NoDocument, once

# Possessive quantifiers, and a string without an end matches too: no part of the text is scanned twice.
_TOKEN = re.compile(
    r"""\s*+(?:(?P<sign>[{}\[\]:,])
    |"(?P<double>[^"\\]*+(?:\\.?[^"\\]*+)*+)(?P<ended>"|\Z)
    |'(?P<single>[^'\\]*+(?:\\.?[^'\\]*+)*+)(?P<closed>'|\Z)
    |(?P<bare>[^\s{}\[\]:,"']++))""",
    re.DOTALL | re.VERBOSE,
)
_HALF = re.compile(r"response|failed", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"null": None, "none": None, "undefined": None, "true": True, "false": False}
_END = ""


@dataclass(frozen=True, slots=True)
class _Token:
    """A token: a sign, "" for the end of the text, or "text" for a word. `end` is the index after it."""

    sign: str
    text: str = ""
    quoted: bool = False
    end: int = 0


MAX_OBJECTS = 10
"""Objects that may follow one another in a text."""


def read(text: str) -> Document:
    """Read the first object of `text`, and further objects as long as a `response` or `failed` follows.

    Raises NoDocument, and Garbled for a name with two values or when a further object cannot be read.
    """
    start = text.find("{")
    if start < 0:
        raise NoDocument("no object")
    reader = _Reader(text, start)
    objects = [reader.object(MAX_DEPTH)]
    while "{" in text[reader.here.end :] and _HALF.search(text, reader.here.end):
        objects.append(_another(reader, text, len(objects)))
    return {"objects": objects}


def _another(reader: _Reader, text: str, count: int) -> Document:
    try:
        if count >= MAX_OBJECTS:
            raise NoDocument("too many objects")
        return reader.object_from(text.index("{", reader.here.end))
    except NoDocument:
        raise Garbled("it is more than one document") from None


class _Reader:
    """Reads one token after the other. `here` is the last one that was read."""

    def __init__(self, text: str, start: int) -> None:
        self._text, self.here, self._left = text, _Token(_END, end=start), MAX_PARTS
        self._next = [self._scan(start)]

    def object_from(self, start: int) -> Document:
        """Read the object that begins at `start`, after the token that was read last. Raises as `value` does."""
        self._next = [self._scan(start)]
        return self.object(MAX_DEPTH)

    def value(self, depth: int) -> Any:
        """Read the next value; None if there is none. Raises NoDocument, also for a value that is nested too deeply."""
        if not depth:
            raise NoDocument("too deep")
        match self._peek().sign:
            case "{":
                return self.object(depth)
            case "[":
                return self._list(depth)
            case "text":
                return self._words()
        return None

    def object(self, depth: int) -> Document:
        """Read the next object. Raises as `value` does, and Garbled for a name with two values."""
        self._take()
        pairs = []
        while (token := self._take_after_commas()).sign != "}":
            if token.sign != "text" or self._take().sign != ":":
                raise NoDocument("a name and a colon are missing")
            pairs.append((token.text, self.value(depth - 1)))
        return once(pairs)

    def _list(self, depth: int) -> list[Any]:
        self._take()
        values: list[Any] = []
        while True:
            while self._peek().sign == ",":
                self._take()
            if self._peek().sign == "]":
                self._take()
                return values
            if self._peek().sign not in ("{", "[", "text"):
                raise NoDocument("a list does not end")
            values.append(self.value(depth - 1))

    def _words(self) -> Any:
        """Read the words up to the next sign or name. Several words are one string that has quotes within it."""
        words = [self._take()]
        while self._peek().sign == "text" and self._peek(1).sign != ":":
            words.append(self._take())
        quoted = any(word.quoted for word in words)
        text = ('"' if quoted else " ").join(word.text for word in words)
        return text if quoted else _LITERALS.get(text.lower(), text)

    def _take_after_commas(self) -> _Token:
        while (token := self._take()).sign == ",":
            continue
        return token

    def _peek(self, ahead: int = 0) -> _Token:
        while len(self._next) <= ahead:
            self._next.append(self._scan(self._next[-1].end))
        return self._next[ahead]

    def _take(self) -> _Token:
        self.here = self._peek()
        del self._next[0]
        if not self._next:
            self._next.append(self._scan(self.here.end))
        return self.here

    def _scan(self, start: int) -> _Token:
        self._left -= 1
        if not self._left:
            raise NoDocument("too many parts")
        found = _TOKEN.match(self._text, start)
        if found is None:
            return _Token(_END, end=len(self._text))
        if sign := found["sign"]:
            return _Token(sign, end=found.end())
        if (bare := found["bare"]) is not None:
            return _Token("text", bare, end=found.end())
        if not (found["ended"] or found["closed"]):
            return _Token(_END, end=len(self._text))
        return _Token("text", unescaped(found["double"] or found["single"] or ""), True, found.end())


def unescaped(text: str) -> str:
    """Undo the escapes of a JSON string. An unknown escape stands for its letter."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda escape: _character(escape[1], escape[2]), text)
    return plain.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def _character(number: str | None, sign: str | None) -> str:
    return chr(int(number, 16)) if number else _ESCAPED.get(sign or "", sign or "")
