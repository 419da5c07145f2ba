"""The accounts that apply at the moment. The accounts file may change while a worker runs, see docs/decisions/0022."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from worker.core.accounts import Account, Accounts


class CurrentAccounts:
    """Holds the accounts of the last valid accounts file in `now`, which is replaced as a whole.

    Take `now` once for all that must be judged under one version of the file.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.now = accounts
        self._gone: Mapping[str, Account] = {}

    def use(self, accounts: Accounts) -> None:
        """Have these accounts apply from now on."""
        self._gone = {name: account for name, account in self.known.items() if name not in accounts}
        self.now = accounts

    @property
    def known(self) -> Mapping[str, Account]:
        """The accounts, and those that were in the file since the start and are gone: jobs may still wait for them."""
        return {**self._gone, **self.now}


class Changes(NamedTuple):
    """The names of the accounts in which two versions of the accounts file differ, each in the order of its file."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @classmethod
    def between(cls, old: Accounts, new: Accounts) -> Changes:
        """Compare the versions."""
        return cls(
            tuple(name for name in new if name not in old),
            tuple(name for name in old if name not in new),
            tuple(name for name in new if name in old and new[name] != old[name]),
        )
