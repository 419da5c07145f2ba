"""Checks an accounts file with all that it names. A worker does so at its start, and before it uses a changed file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.network import trust


def sound(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Accounts, list[str]]:
    """Return the accounts of the file, and all their keys and secrets as text.

    Raises ConfigurationError with each fault of the file, and of the keys and secrets of its valid accounts.
    """
    accounts, faults = Accounts.valid_part(path)
    try:
        secrets = accounts.secrets(environ)
    except ConfigurationError as error:
        faults += error.problems
    if faults:
        raise ConfigurationError(*faults)
    return accounts, secrets


def of_certificates(accounts: Accounts) -> list[Callable[[], None]]:
    """Return a check for each file of certificates that webhooks name. It raises ConfigurationError."""
    return [
        partial(trust.check, endpoint.ca_file, f"accounts.{name}.webhooks.{number}.ca_file")
        for name, account in accounts.items()
        for number, endpoint in enumerate(account.webhooks)
        if endpoint.ca_file is not None
    ]
