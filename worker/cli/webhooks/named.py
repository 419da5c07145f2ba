"""Finds the endpoint that a person names: by its name or the hash of its URL, with `ACCOUNT/` in front if need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination

account_option: Callable[[Any], Any] = click.option(
    "--account",
    metavar="NAME",
    help="The account of the endpoint, where several accounts have one of that name. Needed, with the key that "
    "`callworker webhooks list` shows, for an endpoint that is no longer in the accounts file.",
)


class Named(NamedTuple):
    """What a person named. `hook` is None if the accounts file no longer has the endpoint."""

    destination: Destination
    hook: Endpoint | None


def all_endpoints(accounts: Accounts) -> Iterator[tuple[str, Endpoint]]:
    """Yield each endpoint with the name of its account."""
    yield from ((name, hook) for name, account in accounts.items() for hook in account.webhooks)


def endpoint(accounts: Accounts, text: str) -> tuple[str, Endpoint]:
    """The account's name and the endpoint. Raises UsageError if no endpoint has that name, or several have."""
    found = _only(accounts, text, None)
    if found is None:
        raise click.UsageError(f"no endpoint is named so; the accounts file has {_known(accounts)}")
    return found


def destination(
    accounts: Accounts, text: str, account: str | None, knows: Callable[[Destination], bool]
) -> Named:
    """The endpoint of the accounts file, or one that `knows` says has a record. Raises UsageError as `endpoint`.

    An endpoint that has a name is found by the hash of its URL too: this is the one to which deliveries from before it
    had the name go, if there were any.
    """
    found = _only(accounts, text, account)
    if found is not None:
        owner, hook = found
        given = Destination(owner, text.rpartition("/")[2])
        return Named(given if knows(given) else Destination(owner, hook.key), hook)
    owner, _, key = f"{account}/{text}".rpartition("/") if account else text.rpartition("/")
    gone = Destination(owner.rpartition("/")[2], key)
    if owner and knows(gone):
        return Named(gone, None)
    raise click.UsageError(
        f"no endpoint is named so; the accounts file has {_known(accounts)}; name one that is no longer in it by "
        "--account and its key"
    )


def _only(accounts: Accounts, text: str, account: str | None) -> tuple[str, Endpoint] | None:
    found = [
        (name, hook)
        for name, hook in all_endpoints(accounts)
        if account in (None, name) and text in _names(name, hook)
    ]
    if len(found) > 1:
        told = ", ".join(f"{name}/{hook.key}" for name, hook in found)
        raise click.UsageError(f"several endpoints are named so; name one of {told}")
    return found[0] if found else None


def _known(accounts: Accounts) -> str:
    return ", ".join(f"{name}/{hook.key}" for name, hook in all_endpoints(accounts)) or "none"


def _names(account: str, hook: Endpoint) -> set[str]:
    return {*hook.keys, *(f"{account}/{name}" for name in hook.keys)}
