"""The head of an HTTP answer, read in one way wherever the worker is a client: the provider's, a webhook receiver's.

The standard library skips one kind of interim answer, 100, and takes a length that stands twice for none. Source: RFC
9110, 15.2 (interim answers), RFC 9112, 6.1 and 6.3 (transfer codings, lengths).
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from types import FunctionType
from typing import IO, Any, Self, cast

MAX_INTERIM_ANSWERS = 100
MAX_HEADER_LINES = 100
"""Of one head, an interim answer's included. The callers bound the bytes."""

_SWITCHING_PROTOCOLS = 101
_LENGTH = re.compile(r"\s*\+?0*([0-9]{1,18})\s*")
_REPEATABLE = ("content-length", "transfer-encoding")


class Headers(dict[str, str]):
    """Header fields by name in any case of letters; the first one counts where a name stands several times.

    `odd` says that the framing was not given as the standard wants it, and was read all the same. `contradictory`: two
    lengths are given, of which none counts.
    """

    odd = False
    contradictory = False

    @classmethod
    def read(cls, lines: IO[bytes]) -> Self:
        """The header that comes next, read as leniently as the standard library does.

        Raises HTTPException where it has too many lines.
        """
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

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def _add(self, name: str, value: str) -> None:
        if name in self and name in _REPEATABLE:
            self[name] += f", {value}"
        else:
            self.setdefault(name, value)

    def _settle(self) -> None:
        """Leave one length, or one coding that frames the body, in the spelling that the standard library reads."""
        length, coding = self.get("content-length"), self.get("transfer-encoding")
        if length is not None and not (length.isascii() and length.isdigit()):
            self._settle_length(length)
        if coding is not None and coding.lower() != "chunked":
            coding = self._settle_coding(coding)
        if coding is not None and self.pop("content-length", None) is not None:
            self.odd = True

    def _settle_length(self, text: str) -> None:
        """Equal lengths are one. What is no length is left out: the body then goes on until the connection ends."""
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


_begin = FunctionType(
    http.client.HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": Headers.read}
)
"""The library's own, except for the header: the library reads that with a parser of e-mails, which is slow."""


class FinalAnswer(http.client.HTTPResponse):
    """An answer whose interim answers are skipped: all of 1xx but 101, which ends the exchange."""

    interim_answers = 0

    def begin(self) -> None:
        """Read the head of the final answer. Raises HTTPException, for too many interim answers too, and OSError."""
        _begin(self)

    @property
    def odd(self) -> bool:
        """True for a head from which something had to be skipped, or guessed."""
        return self.interim_answers > 0 or cast(Headers, self.headers).odd

    def _read_status(self) -> tuple[str, int, str]:
        while self.interim_answers <= MAX_INTERIM_ANSWERS:
            version, status, reason = cast(Any, super())._read_status()
            if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
                return version, status, reason
            Headers.read(cast("IO[bytes]", self.fp))
            self.interim_answers += 1
        raise http.client.HTTPException("too many interim answers")


def as_message(headers: Mapping[str, str]) -> http.client.HTTPMessage:
    """The headers in the form in which urllib3 expects them."""
    message = http.client.HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    return message
