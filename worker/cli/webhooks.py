"""`callworker webhooks`: waiting deliveries by account and endpoint."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import click

from worker.cli import places
from worker.cli.output import console, example, json_option, print_json, table
from worker.core.accounts import Accounts
from worker.settings import Settings
from worker.state.deliveries import Destination, count_pending

COLUMNS = ("account", "endpoint", "url", "pending")


@click.group(epilog=example("callworker webhooks list"))
def command() -> None:
    """Show the webhook deliveries that wait for their next attempt."""


@command.command("list", epilog=example("callworker webhooks list", "callworker webhooks list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List every endpoint of the accounts file with the number of deliveries that wait for it."""
    settings = Settings.from_env()
    with places.store(settings) as client:
        rows = _rows(places.accounts(settings), count_pending(client))
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        console().print(table(COLUMNS, rows))


def _rows(accounts: Accounts, pending: Counter[Destination]) -> list[tuple[Any, ...]]:
    known = {
        Destination(name, hook.key): hook.url
        for name, account in accounts.items()
        for hook in account.webhooks
    }
    gone = {where: "(not in the accounts file)" for where in pending if where not in known}
    return [(*where, _without_query(url), pending[where]) for where, url in (known | gone).items()]


def _without_query(url: str) -> str:
    """The URL without its query, which may hold tokens."""
    return urlsplit(url)._replace(query="").geturl()
