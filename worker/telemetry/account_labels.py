"""Chooses the values of the label `account`, so that the series stay few however many accounts there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from worker.telemetry.labels import OTHER, UNKNOWN_ACCOUNT

RUN = 3
"""An account that failed so many times in a row is in need."""
KEPT_SECONDS = 3600.0
"""How long an account has its own name after it was last in need. An alert's windows are shorter."""


class AccountLabels:
    """Knows which accounts have series of their own. Thread-safe.

    The first `most` accounts that are used keep their names. Later ones are "other"; at most `most` of them that are in
    need have their names too, and lose them only to others, an hour after they were last in need at the soonest.
    """

    def __init__(
        self,
        names: Iterable[str],
        most: int,
        forget: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`names` are those of the accounts file. `forget` is called with an account that loses its name."""
        self._names, self.most, self._forget, self._clock = frozenset(names), most, forget, clock
        self._lock = threading.Lock()
        self._labels: dict[str, str] = {}
        self._needy: dict[str, float] = {}
        """The moments when accounts were last in need, the longest ago first."""
        self._runs: dict[str, int] = {}

    def use(self, names: Iterable[str]) -> None:
        """Have these names from now on. Accounts that are gone keep their labels, unless all `most` are taken."""
        self._names = frozenset(names)
        with self._lock:
            if len(self._labels) >= self.most:
                self._drop_gone()

    def of(self, name: str) -> str:
        """Return the account's name, "other", or "(unknown)" for one that the accounts file does not have."""
        label = self._labels.get(name)
        return self._first_use(name) if label is None else label

    def failed(self, name: str, times: int = 1) -> None:
        """Take note that something of the account failed."""
        if name not in self._needy and self.of(name) != OTHER:
            return
        with self._lock:
            self._runs[name] = self._runs.get(name, 0) + times
            if self._runs[name] >= RUN:
                self._name(name)

    def succeeded(self, name: str) -> None:
        """Take note that a job of the account ended well."""
        if name in self._runs:
            self._runs.pop(name, None)

    def _first_use(self, name: str) -> str:
        if name not in self._names:
            return UNKNOWN_ACCOUNT
        with self._lock:
            room = len(self._labels) < self.most
            return self._labels.setdefault(name, name if room else OTHER)

    def _drop_gone(self) -> None:
        """Forget the accounts that the accounts file no longer has, with their series."""
        for name in [name for name in self._labels if name not in self._names]:
            if self._labels.pop(name) != OTHER:
                self._forget(name)
            self._needy.pop(name, None)
            self._runs.pop(name, None)

    def _name(self, name: str) -> None:
        """Give an account in need its name, if there is room or one that is no longer in need."""
        now = self._clock()
        if name not in self._needy and len(self._needy) >= self.most:
            longest, since = next(iter(self._needy.items()))
            if now - since < KEPT_SECONDS:
                return
            del self._needy[longest]
            self._labels[longest] = OTHER
            self._forget(longest)
        self._needy.pop(name, None)
        self._needy[name], self._labels[name] = now, name
