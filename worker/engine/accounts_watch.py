"""Puts a changed accounts file into use while the worker runs. See docs/decisions/0022.

A valid file replaces the accounts in one step. One that a start would refuse changes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from worker.configuration.textfiles import Mark, mark
from worker.core.accounts import Accounts
from worker.core.current import Changes, CurrentAccounts
from worker.errors import ConfigurationError

LOOK_SECONDS = 1.0
"""The time between two looks. A file that was the same at two of them is not being written."""

AGAIN_SECONDS, AGAIN_TIMES = 10.0, 100
"""A refused file is tried again after so long, because a file that it names may have come; and no sooner than after so
many times the time that the last try took."""

SETTLED_NS = 2_000_000_000
"""A file that changed less long ago may change once more and keep its mark, as far as file systems count time."""


class ReloadWatch(Protocol):
    """Is told what became of a look at the accounts file. Must not raise."""

    def accounts_reloaded(self, old: Accounts, new: Accounts, changes: Changes) -> None: ...

    def accounts_unchanged(self, accounts: Accounts) -> None:
        """The file was read again and says the same as before."""

    def accounts_refused(self, problems: Sequence[str], *, news: bool) -> None:
        """The file cannot be used, for each of `problems`. `news`: this was not told before."""


class AccountsFile:
    """One accounts file, which may be replaced, written to, or swapped by a symbolic link. For one thread."""

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], Accounts],
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`load` raises ConfigurationError with a line for each fault."""
        self._path, self._load, self._unix_ns = path, load, unix_ns
        self._seen: Mark | None = None
        self._read: Mark | None = None
        self._doubtful = False

    def load(self) -> Accounts:
        """Read the file. Raises ConfigurationError."""
        self._seen = self._read = seen = mark(self._path)
        self._doubtful = seen is not None and abs(self._unix_ns() - seen[3]) < SETTLED_NS
        return self._load(self._path)

    def changed(self) -> bool:
        """Look at the file. Returns whether it may differ from what was read, and was the same at the last look."""
        before, self._seen = self._seen, mark(self._path)
        return before == self._seen and (self._doubtful or self._seen != self._read)

    @property
    def differs(self) -> bool:
        """Whether the file of the last look is not the one that was read last."""
        return self._seen != self._read

    def load_whole(self) -> Accounts | None:
        """Read the file. Returns None, whatever it says, if it changed meanwhile. Raises ConfigurationError."""
        try:
            accounts = self.load()
        except ConfigurationError:
            if self._being_written:
                return None
            raise
        return None if self._being_written else accounts

    @property
    def _being_written(self) -> bool:
        return mark(self._path) != self._read


class AccountsWatch:
    """Looks at the accounts file, and puts what is new into use. One thread takes the turns; any thread may `ask`.

    Known weakness: a file that is written in several parts, with a second between them, is read in parts too. Write
    another file and rename it.
    """

    def __init__(
        self,
        file: AccountsFile,
        current: CurrentAccounts,
        adopt: Callable[[Accounts], object],
        watch: ReloadWatch,
        clock: Callable[[], float] = time.monotonic,
        *,
        woken: Callable[[], object] = lambda: None,
        used: Callable[[], object] = lambda: None,
    ) -> None:
        """`adopt` prepares all parts for new accounts, before they are current. It may raise ConfigurationError.

        `woken` has the thread take a turn. `used` is called once new accounts are current.
        """
        self._file, self._current, self._adopt, self._watch = file, current, adopt, watch
        self._clock, self._woken, self._used = clock, woken, used
        self._asked = False
        self._due, self._again = clock(), math.inf
        self._told: tuple[str, ...] = ()
        self.problem = ""
        """Why the file as it is now is not in use, in one line; empty if it is."""

    def ask(self) -> None:
        """Have the file, and the keys and secrets in files that it names, read at once, changed or not."""
        self._asked = True
        self._woken()

    def turn(self) -> float:
        """Look once, if it is time or somebody asked; return the seconds until the next look."""
        asked, now = self._asked, self._clock()
        if not asked and now < self._due:
            return self._due - now
        if asked:
            self._asked = False
        self._due = now + LOOK_SECONDS
        changed, news = self._file.changed(), asked or self._file.differs
        if asked or changed or (now >= self._again and not news):
            # An unexpected error must not be the last word about this file.
            self._again = now
            self._take(news=news)
        return LOOK_SECONDS

    def _take(self, *, news: bool) -> None:
        began = self._clock()
        try:
            accounts = self._file.load_whole()
            if accounts is not None:
                self._use(accounts, news=news)
        except ConfigurationError as error:
            self._refuse(error.problems, news=news, took_seconds=self._clock() - began)
        else:
            self._again = math.inf

    def _use(self, accounts: Accounts, *, news: bool) -> None:
        self._adopt(accounts)
        old, refused = self._current.now, self.problem
        self.problem, self._told = "", ()
        if accounts.digest != old.digest:
            self._current.use(accounts)
            self._used()
            self._watch.accounts_reloaded(old, accounts, Changes.between(old, accounts))
        elif news or refused:
            self._watch.accounts_unchanged(accounts)

    def _refuse(self, problems: tuple[str, ...], *, news: bool, took_seconds: float) -> None:
        self.problem = problems[0] if len(problems) == 1 else f"{problems[0]}; and {len(problems) - 1} more"
        self._watch.accounts_refused(problems, news=news or problems != self._told)
        self._told = problems
        self._again = self._clock() + max(AGAIN_SECONDS, took_seconds * AGAIN_TIMES)
