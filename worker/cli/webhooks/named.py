"""Finds the endpoint that a person names: by its name or the hash of its URL, with `ACCOUNT/` in front if need be."""

from __future__ import annotations

from collections.abc import Iterator

import click

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint


def all_endpoints(accounts: Accounts) -> Iterator[tuple[str, Endpoint]]:
    """Yield each endpoint with the name of its account."""
    yield from ((name, hook) for name, account in accounts.items() for hook in account.webhooks)


def endpoint(accounts: Accounts, text: str) -> tuple[str, Endpoint]:
    """The account's name and the endpoint. Raises UsageError if no endpoint has that name, or several have."""
    found = [(name, hook) for name, hook in all_endpoints(accounts) if text in _names(name, hook)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{name}/{hook.key}" for name, hook in found or all_endpoints(accounts))
    if found:
        raise click.UsageError(f"several endpoints are named so; name one of {known}")
    raise click.UsageError(f"no endpoint is named so; the accounts file has {known or 'none'}")


def _names(account: str, hook: Endpoint) -> set[str]:
    return {*hook.keys, *(f"{account}/{name}" for name in hook.keys)}
