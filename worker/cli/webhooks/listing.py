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
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination
from worker.settings import Settings
from worker.state.deliveries import count_pending

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
    waiting = dict(pending)
    rows: list[tuple[Any, ...]] = [
        (account, hook.key, hook.name, _without_query(hook.url), _taken(waiting, account, hook))
        for account, hook in all_endpoints(accounts)
    ]
    return rows + [(*where, None, "(not in the accounts file)", count) for where, count in waiting.items()]


def _taken(waiting: dict[Destination, int], account: str, hook: Endpoint) -> int:
    return sum(waiting.pop(Destination(account, key), 0) for key in hook.keys)


def _shown(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple("-" if cell is None else cell for cell in row)


def _without_query(url: str) -> str:
    """The URL without its query, which may hold tokens."""
    return urlsplit(url)._replace(query="").geturl()
