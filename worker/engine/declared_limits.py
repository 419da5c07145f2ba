"""Declares the limits of this worker's accounts file while no other worker has a newer file."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from worker.core.accounts import Accounts
from worker.core.current import CurrentAccounts
from worker.core.ports import Ledger
from worker.core.records import Standing
from worker.errors import StoreUnavailable, WrongKey

BEAT_SECONDS = 2.0


class FilesWatch(Protocol):
    """Is told at each turn how this worker's accounts file compares with those of the others. Must not raise."""

    def accounts_files(self, standing: Standing) -> None: ...


class DeclaredLimits:
    """Reports which accounts file this worker has, and declares its limits when it becomes the newest.

    It reports every 2 s, and at once after a change. Its file becomes the newest at the start, after a change, when all
    workers with newer files are gone, and after a time in which it may have counted as gone. The limits are then
    declared twice, because another worker may have been about to declare older ones. For one thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        accounts: CurrentAccounts,
        watch: FilesWatch,
        clock: Callable[[], float] = time.monotonic,
        *,
        declared: Callable[[], object] = lambda: None,
    ) -> None:
        """`declared` is called when limits were declared: more jobs may be due then."""
        self._ledger, self._accounts, self._watch, self._clock = ledger, accounts, watch, clock
        self._declared = declared
        self._due = clock()
        self._was_newest = self._again = self._failing = False
        self._reported: Accounts | None = None

    def turn(self) -> float:
        """Do what is due; return the seconds until the next turn. Raises StoreUnavailable.

        A wrong key in the store is logged elsewhere and stops no jobs. While only a part of the store is away, it
        raises nothing, and is due again after 2 s.
        """
        accounts = self._accounts.now
        changed = accounts is not self._reported
        early_seconds = self._due - self._clock()
        if early_seconds > 0 and (self._failing or not changed):
            return early_seconds
        failing = False
        try:
            with suppress(WrongKey):
                self._report(accounts, changed=changed)
            self._reported = accounts
        except StoreUnavailable as error:
            if not self._ledger.is_apart(error):
                raise
            failing = True
        self._failing, self._due = failing, self._clock() + BEAT_SECONDS
        return BEAT_SECONDS

    @property
    def current(self) -> bool:
        """Whether the store was told of the accounts file that is in use, as far as it answers. For any thread."""
        return self._failing or self._reported is self._accounts.now

    def _report(self, accounts: Accounts, *, changed: bool) -> None:
        standing = self._ledger.announce(accounts.digest, accounts)
        self._watch.accounts_files(standing)
        gained = standing.newest and (changed or standing.returned or not self._was_newest)
        if gained or (standing.newest and self._again):
            # Set before the call, so that a declaration that fails is repeated.
            self._again = True
            self._ledger.declare(accounts.values())
            self._declared()
        self._was_newest, self._again = standing.newest, gained
