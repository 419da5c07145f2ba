"""The one error of this room."""

from __future__ import annotations


class EmbeddedServerError(Exception):
    """The embedded server cannot run here. The message is one line that says what to do."""
