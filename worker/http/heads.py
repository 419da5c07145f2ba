"""Reads the header of an HTTP answer, as leniently as servers and proxies require.

Source: RFC 9112, 6.1 and 6.3 (transfer codings, lengths).
"""

from __future__ import annotations

import http.client
import re
from typing import IO, Any, Self

MAX_HEADER_LINES = 100
"""The most lines of one header, also of an interim answer. The bytes are bounded where they are read."""

_PLAIN_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTH = re.compile(r"\s*\+?0*([0-9]{1,18})\s*")
_REPEATABLE = ("connection", "content-length", "transfer-encoding")


class Headers(dict[str, str]):
    """Header fields by name. The case of names is ignored; of several fields with one name the first counts, but those
    that concern the connection are joined.

    `odd` is true if the framing breaks the standard but could be read. `contradictory` is true if two different lengths
    are given, so that none counts.
    """

    odd = False
    contradictory = False

    @classmethod
    def read(cls, lines: IO[bytes]) -> Self:
        """Read the next header. Raises HTTPException if it has too many lines."""
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
        """Whether the body comes in chunks."""
        return super().get("transfer-encoding", "").lower() == "chunked"

    @property
    def length(self) -> int | None:
        """The length of the body, or None if it is not given."""
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
        """Reduce the framing to one length, or one coding, in its plain spelling."""
        length, coding = self.get("content-length"), self.get("transfer-encoding")
        if length is not None and not _PLAIN_LENGTH.fullmatch(length):
            self._settle_length(length)
        if coding is not None and coding.lower() != "chunked":
            coding = self._settle_coding(coding)
        if coding is not None and self.pop("content-length", None) is not None:
            self.odd = True

    def _settle_length(self, text: str) -> None:
        """Merge equal lengths, and drop one that cannot be read: the body then ends with the connection."""
        self.odd = True
        lengths = {_length(part) for part in text.split(",")}
        self.contradictory = len(lengths) > 1
        length = None if self.contradictory else lengths.pop()
        if length is None:
            del self["content-length"]
        else:
            self["content-length"] = length

    def _settle_coding(self, text: str) -> str | None:
        """Return the codings that frame the body, or None for `identity`, with which the length counts.

        Chunks are always the last coding, and are undone first.
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
