"""Keeps the limits of the newest accounts file in force, where workers have different ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from worker.core.accounts import Accounts
from worker.core.ports import Ledger
from worker.core.records import Standing
from worker.errors import WrongKey

BEAT_SECONDS = 2.0


class FilesWatch(Protocol):
    """Hears how this worker's accounts file stands to the others', each time. Must not raise."""

    def accounts_files(self, standing: Standing) -> None: ...


class DeclaredLimits:
    """Says every other second which accounts file this worker has, and makes its limits known where it is the newest.

    That is at the start, when the newer ones are gone, and after a time in which others may have taken this file's
    workers for gone; then once more, for another worker may have been about to declare what it had. For one thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        watch: FilesWatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._accounts, self._watch, self._clock = ledger, accounts, watch, clock
        self._due = clock()
        self._was_newest = self._again = False

    def keep(self) -> None:
        """Do what is due. Raises StoreUnavailable; a wrong key in the store, told by its name, stops nobody's jobs."""
        if self._clock() < self._due:
            return
        with suppress(WrongKey):
            self._speak()
        self._due = self._clock() + BEAT_SECONDS

    def _speak(self) -> None:
        standing = self._ledger.announce(self._accounts.digest)
        self._watch.accounts_files(standing)
        gained = standing.newest and (standing.returned or not self._was_newest)
        if gained or (standing.newest and self._again):
            # What fails is to be said again.
            self._again = True
            self._ledger.declare(self._accounts.values())
        self._was_newest, self._again = standing.newest, gained
