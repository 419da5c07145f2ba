"""Buries messages that cannot become jobs: they go to the dead letters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from worker.core.judging import Broken
from worker.core.ports import DeadLetters
from worker.errors import StoreUnavailable
from worker.inbound.entry import Entry


class Letters:
    """The dead letters. Each method raises StoreUnavailable. `failed` is told of an error at one message."""

    def __init__(self, dead_letters: DeadLetters, failed: Callable[[Exception], None]) -> None:
        self._dead_letters, self._failed = dead_letters, failed

    def bury(self, reason: str, entry: Entry, job_id: str | None) -> None:
        """Keep a message; only size and digest of one that cannot be kept."""
        try:
            shown = entry.shown() if entry.shown else entry.raw
            self._dead_letters.bury(reason, entry.source, shown, entry.cut, job_id)
        except StoreUnavailable:
            raise
        except Exception as error:  # a message that cannot be kept must not come back forever
            self._failed(error)
            self.bury_unread(f"{reason} (its content cannot be kept: {type(error).__name__})", entry)

    def bury_unread(self, reason: str, entry: Entry) -> None:
        """Keep only size and digest of a message: reading its content may be what crashes the worker."""
        self._dead_letters.bury(reason, entry.source, b"", entry.whole)


def known_id(entry: Entry) -> str | None:
    """Return the id that the producer gave the message beside the job's fields, if it can be read."""
    with suppress(Exception):
        content = entry.read()
        return content.job_id if isinstance(content, Broken) else content.default_id
    return None
