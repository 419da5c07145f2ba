"""What is kept of an answer's body, for the operator who wants to know why an endpoint refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

MAX_EXCERPT = 200
"""Characters."""

_SEARCHED = 2 * MAX_EXCERPT
"""How many characters are searched for secrets: one across the end of the excerpt must be found too."""

READ_BYTES = 4 * _SEARCHED
"""How much of a body is taken into account: a character of UTF-8 has at most four bytes."""

_REMEMBERED = 100
"""Excerpts; an endpoint often answers with the same bytes."""


class Excerpts:
    """Makes excerpts; `redact` hides what nobody may see."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact, self._known = redact, lru_cache(_REMEMBERED)(self._of)

    def of(self, body: bytes) -> str:
        """Return the first characters of a body, on one line and without control characters."""
        return self._known(body[:READ_BYTES])

    def _of(self, start: bytes) -> str:
        text = start.decode("utf-8", "replace")[:_SEARCHED]
        words = "".join(sign if sign.isprintable() else " " for sign in text).split()
        return self._redact(" ".join(words))[:MAX_EXCERPT]
