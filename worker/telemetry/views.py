"""Pages in the forms that clients may ask for, and what a request's head asks for."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Protocol

MIN_ZIPPED_BYTES, ZIP_LEVEL = 1000, 1
"""Shorter pages are not compressed. The quickest level makes a page of metrics twelve times as short."""

PLAIN = "text/plain; charset=utf-8"

_HEADER = re.compile(rb"\n([A-Za-z-]+):[ \t]*([ -~]*)")
_REFUSED = re.compile(r"; *q=0(?:\.0*)?$")


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a client."""

    status: HTTPStatus
    content_type: str
    body: bytes
    more: str = ""
    """Further lines of the head."""

    def message(self, *, with_body: bool) -> bytes:
        head = (
            f"HTTP/1.0 {self.status.value} {self.status.phrase}\r\nServer: callworker\r\n{self.more}"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode("ascii") + (self.body if with_body else b"")

    def zipped(self) -> Page:
        """Return the page in gzip, or as it is if it is short."""
        if len(self.body) < MIN_ZIPPED_BYTES:
            return self
        body = gzip.compress(self.body, ZIP_LEVEL)
        return replace(self, body=body, more=f"{self.more}Content-Encoding: gzip\r\n")


class View(Protocol):
    """Makes one page, in the forms that clients may ask for."""

    def form(self, accept: str) -> str:
        """Return the form for a client with this header Accept. Clients with the same form share a page."""

    def make(self, form: str) -> Page:
        """Make the page. It is called in a thread of its own and must not raise."""


def header(head: bytes | bytearray, name: bytes) -> str:
    """Return the values of a header, joined by commas. A value ends at a character that is not printable ASCII."""
    return ",".join(value.decode() for found, value in _HEADER.findall(head) if found.lower() == name)


def takes_gzip(accepted: str) -> bool:
    """Return whether a header Accept-Encoding allows gzip."""
    codings = [coding.strip().lower() for coding in accepted.split(",")]
    return any(
        coding.partition(";")[0].strip() == "gzip" and not _REFUSED.search(coding) for coding in codings
    )
