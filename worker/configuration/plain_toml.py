"""Reads the plain part of TOML, in which accounts files are written, four times as fast as the standard library.

Plain are tables `[a.b]`, arrays of tables `[[a.b.c]]` below the table before them, and on one line each whole numbers,
truth values, strings without escapes, and arrays of these. Anything else is left to `tomllib`, faults included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]

_KEY = r"[A-Za-z0-9_-]+"
_SIGNS = r"[^\\\x00-\x08\x0a-\x1f\x7f"
_STRING = rf'"{_SIGNS}"]*"|' + rf"'{_SIGNS}']*'"
_ARRAY = rf"\[[ \t]*(?:(?:{_STRING})[ \t]*(?:,[ \t]*(?:{_STRING})[ \t]*)*(?:,[ \t]*)?)?\]"
_LINE = re.compile(
    rf"""[ \t]*(?:
      (?P<key>{_KEY})[ \t]*=[ \t]*(?:
        (?P<string>{_STRING})|(?P<number>0|[1-9][0-9]{{0,17}})|(?P<truth>true|false)|(?P<array>{_ARRAY}))
      |\[(?P<table>{_KEY})\.(?:(?P<bare>{_KEY})|"(?P<quoted>{_SIGNS}"]*)")\]
      |\[\[(?P<root>{_KEY})\.(?:(?P<bare_parent>{_KEY})|"(?P<quoted_parent>{_SIGNS}"]*)")\.(?P<list>{_KEY})\]\]
    )?[ \t]*(?:\#[^\x00-\x08\x0a-\x1f\x7f]*)?""",
    re.VERBOSE,
)
_STRINGS = re.compile(_STRING)
_VALUES: Mapping[str, Callable[[str], Any]] = {
    "string": lambda text: text[1:-1],
    "number": int,
    "truth": lambda text: text == "true",
    "array": lambda text: [each[1:-1] for each in _STRINGS.findall(text)],
}


def read(text: str) -> Document | None:
    """Return what `tomllib.loads` returns, or None for a text that is not plain, or not TOML."""
    reader = _Reader()
    return reader.document if all(map(reader.take, text.replace("\r\n", "\n").split("\n"))) else None


class _Reader:
    """The document so far, and the table that takes the next value. A header that comes twice is not plain."""

    def __init__(self) -> None:
        self.document: Document = {}
        self._table = self.document
        self._place: tuple[str, str] | None = None
        self._within: Document = {}
        self._lists: dict[str, list[Document]] = {}

    def take(self, line: str) -> bool:
        """Read a line. Returns False if it is not plain in its place."""
        if not line:
            return True
        found = _LINE.fullmatch(line)
        if found is None:
            return False
        kind = found.lastgroup
        if kind is None:
            return True
        if kind in _VALUES:
            return self._put(found["key"], _VALUES[kind](found[kind]))
        return self._append(found) if kind == "list" else self._open(found)

    def _put(self, key: str, value: Any) -> bool:
        fresh = key not in self._table
        self._table[key] = value
        return fresh

    def _open(self, found: re.Match[str]) -> bool:
        root, name = found["table"], found["bare"] or found["quoted"]
        tables = self.document.setdefault(root, {})
        if not isinstance(tables, dict) or name in tables:
            return False
        tables[name] = self._table = self._within = {}
        self._place, self._lists = (root, name), {}
        return True

    def _append(self, found: re.Match[str]) -> bool:
        place, name = (found["root"], found["bare_parent"] or found["quoted_parent"]), found["list"]
        if place != self._place or (name in self._within and name not in self._lists):
            return False
        self._table = {}
        self._lists.setdefault(name, []).append(self._table)
        self._within[name] = self._lists[name]
        return True
