"""Tells which accounts files living workers have, and which one is the newest. See docs/decisions/0014."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from worker.core.accounts import Account
from worker.core.records import Application, Standing
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.decisions import declarations

LIVES_MS = 15_000
"""A worker counts as gone that long after its last report: it was stopped, or several of its reports were lost."""

KEPT_MS = 30 * 86_400_000
"""How long a file is remembered that no living worker has."""


DECLARED_AT_ONCE = 500
"""How many accounts' limits go into one round trip."""


class Announced(NamedTuple):
    """The file that this worker reported last: its digest, its number in the store, and its accounts.

    A file that was first seen later, or came into use later, has a higher number.
    """

    file: str
    generation: int
    accounts: Mapping[str, Account]


class OwnFile:
    """The accounts file of this worker, as far as the store has heard of it. Thread-safe, with one thread that reports.

    While a worker changes from one file to the next, it still has jobs and calls with limits of the earlier one. These
    must not count as limits of the newer file, so they go to the store with number 0, which changes nothing.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._announced = Announced("", 0, {})

    def announce(self, file: str, accounts: Mapping[str, Account]) -> Standing:
        """Report that this worker has `file`, a digest of the content. Raises StoreUnavailable or WrongKey."""
        before = self._announced.file
        args = (file, LIVES_MS, KEPT_MS, "" if before == file else before)
        reply = self._scripts.run(ScriptCall("files", keys.FILES, args))
        generation, newest, lapsed, files = (int(part) for part in reply)
        self._announced = Announced(file, generation, accounts)
        return Standing(bool(newest), bool(lapsed), files)

    def declare(self, accounts: Iterable[Account]) -> None:
        """Set the limits of the accounts, which are those of the file. Raises StoreUnavailable or WrongKey.

        If a part of the store is away, the others get theirs first.
        """
        rest, failed = iter(accounts), list[StoreUnavailable]()
        while some := list(itertools.islice(rest, DECLARED_AT_ONCE)):
            number = self._announced.generation
            replies = self._scripts.run_parts([
                call for account in some for call in declarations(account, number)
            ])  # fmt: skip
            failed += [reply for reply in replies if isinstance(reply, StoreUnavailable)]
        if failed:
            raise failed[0]

    def generation_of(self, account: Account) -> int:
        """Return the file's number, or 0 if the account has other limits there."""
        _, generation, accounts = self._announced
        known = accounts.get(account.name)
        return generation if known is not None and known.pace == account.pace else 0

    def grouped(
        self, applications: Sequence[Application], names: Mapping[int, str]
    ) -> Iterator[tuple[int, Mapping[int, str]]]:
        """Divide `names`, by the places of the applications, by the numbers with which their limits go to the store."""
        groups: dict[int, dict[int, str]] = {}
        for place, name in names.items():
            generation = self.generation_of(applications[place].account)
            groups.setdefault(generation, {})[place] = name
        yield from groups.items()
