"""`callworker webhooks list`: waiting deliveries by account and endpoint."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import click

from worker.cli import places
from worker.cli.output import console, example, json_option, print_json, table
from worker.cli.webhooks.named import all_endpoints
from worker.core.accounts import Accounts
from worker.settings import Settings
from worker.state.deliveries import Destination, count_pending

COLUMNS = ("account", "endpoint", "name", "url", "pending")


@click.command("list", epilog=example("callworker webhooks list", "callworker webhooks list --json"))
@json_option
def command(as_json: bool) -> None:
    """List every endpoint of the accounts file with the number of deliveries that wait for it."""
    settings = Settings.from_env()
    with places.store(settings) as client:
        rows = _rows(places.accounts(settings), count_pending(client))
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        console().print(table(COLUMNS, map(_shown, rows)))


def _rows(accounts: Accounts, pending: Counter[Destination]) -> list[tuple[Any, ...]]:
    known = {
        Destination(account, hook.key): (hook.name, _without_query(hook.url))
        for account, hook in all_endpoints(accounts)
    }
    gone = {where: (None, "(not in the accounts file)") for where in pending if where not in known}
    return [(*where, *told, pending[where]) for where, told in (known | gone).items()]


def _shown(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple("-" if cell is None else cell for cell in row)


def _without_query(url: str) -> str:
    """The URL without its query, which may hold tokens."""
    return urlsplit(url)._replace(query="").geturl()
