"""The one error of this package."""

from __future__ import annotations


class EmbeddedServerError(Exception):
    """The embedded server cannot run here; the message is one line that a person can act on."""
