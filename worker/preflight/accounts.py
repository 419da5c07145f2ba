"""Checks an accounts file with all that it names. A worker does so at its start, and before it uses a changed file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

from worker.configuration.textfiles import mark
from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.network import trust


class ReadAccounts:
    """An accounts file that was read once: its valid accounts, and the file's mark before that."""

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self.mark = mark(path)
        self.accounts, self._faults = Accounts.valid_part(path)

    @cached_property
    def secrets(self) -> list[str]:
        """All keys and secrets as text.

        Raises ConfigurationError with each fault of the file, and of the keys and secrets of its valid accounts.
        """
        faults = self._faults
        try:
            secrets = self.accounts.secrets(self._environ)
        except ConfigurationError as error:
            faults = [*faults, *error.problems]
        if faults:
            raise ConfigurationError(*faults)
        return secrets


def of_certificates(accounts: Accounts) -> list[Callable[[], None]]:
    """Return a check for each file of certificates that webhooks name. It raises ConfigurationError."""
    return [
        partial(trust.check, endpoint.ca_file, f"accounts.{name}.webhooks.{number}.ca_file")
        for name, account in accounts.items()
        for number, endpoint in enumerate(account.webhooks)
        if endpoint.ca_file is not None
    ]
