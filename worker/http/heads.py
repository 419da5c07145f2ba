"""The header of an HTTP answer, read as leniently as servers and proxies need it.

Source: RFC 9112, 6.1 and 6.3 (transfer codings, lengths).
"""

from __future__ import annotations

import http.client
import re
from typing import IO, Any, Self

MAX_HEADER_LINES = 100
"""Of one head, an interim answer's included. The bytes are bounded where they are read."""

_PLAIN_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTH = re.compile(r"\s*\+?0*([0-9]{1,18})\s*")
_REPEATABLE = ("content-length", "transfer-encoding")


class Headers(dict[str, str]):
    """Header fields by name in any case of letters; of several with one name the first counts.

    `odd` says that the framing was not given as the standard wants it, and was read all the same. `contradictory` says
    that two lengths are given, so that none counts.
    """

    odd = False
    contradictory = False

    @classmethod
    def read(cls, lines: IO[bytes]) -> Self:
        """The header that comes next. Raises HTTPException where it has too many lines."""
        headers, name = cls(), ""
        for _ in range(MAX_HEADER_LINES):
            line = lines.readline().decode("latin-1").rstrip()
            if not line:
                headers._settle()
                return headers
            before, colon, value = line.partition(":")
            if line[0] in " \t" and name:
                headers[name] += f" {line.lstrip()}"
            elif colon:
                name = before.strip().lower()
                headers._add(name, value.lstrip())
        raise http.client.HTTPException("too long a header")

    @property
    def chunked(self) -> bool:
        """True where the body comes in chunks."""
        return super().get("transfer-encoding", "").lower() == "chunked"

    @property
    def length(self) -> int | None:
        """The body's length, None where it is not told."""
        text = super().get("content-length")
        return None if text is None else int(text)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def _add(self, name: str, value: str) -> None:
        if name in self and name in _REPEATABLE:
            self[name] += f", {value}"
        else:
            self.setdefault(name, value)

    def _settle(self) -> None:
        """Leave one length, or one coding that frames the body, in its plain spelling."""
        length, coding = self.get("content-length"), self.get("transfer-encoding")
        if length is not None and not _PLAIN_LENGTH.fullmatch(length):
            self._settle_length(length)
        if coding is not None and coding.lower() != "chunked":
            coding = self._settle_coding(coding)
        if coding is not None and self.pop("content-length", None) is not None:
            self.odd = True

    def _settle_length(self, text: str) -> None:
        """Make equal lengths one, and leave out what is no length: the body then goes on until the connection ends."""
        self.odd = True
        lengths = {_length(part) for part in text.split(",")}
        self.contradictory = len(lengths) > 1
        length = None if self.contradictory else lengths.pop()
        if length is None:
            del self["content-length"]
        else:
            self["content-length"] = length

    def _settle_coding(self, text: str) -> str | None:
        """The codings that frame the body. Whatever was done to it before, chunks come last and are undone first.

        None for `identity`, which says that nothing was done: the length counts then.
        """
        self.odd = True
        codings = [name.strip().lower() for name in text.split(",")]
        if not set(codings) - {"", "identity"}:
            del self["transfer-encoding"]
            return None
        if codings[-1] == "chunked":
            self["transfer-encoding"] = "chunked"
        return text


def _length(text: str) -> str | None:
    matched = _LENGTH.fullmatch(text)
    return matched[1] if matched else None
