"""What is kept of an answer's body, for the operator who wants to know why an endpoint refuses."""

from __future__ import annotations

from collections.abc import Callable

MAX_EXCERPT = 200
"""Characters."""

READ_BYTES = 2048
"""The part of a body that is searched for secrets: one that is cut at the end of the excerpt must still be found."""


class Excerpts:
    """Makes excerpts; `redact` hides what nobody may see."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def of(self, body: bytes) -> str:
        """Return the first characters of a body, on one line and without control characters."""
        text = body[:READ_BYTES].decode("utf-8", "replace")
        words = "".join(sign if sign.isprintable() else " " for sign in text).split()
        return self._redact(" ".join(words))[:MAX_EXCERPT]
