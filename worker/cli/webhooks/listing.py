"""`callworker webhooks list`: every endpoint, its state, and what waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from worker.state.endpoint_views import EndpointState, EndpointViews

COLUMNS = ("account", "endpoint", "name", "url", "pending", "waiting", "state", "breaker", "failures")


@click.command("list", epilog=example("callworker webhooks list", "callworker webhooks list --json"))
@json_option
def command(as_json: bool) -> None:
    """List every endpoint of the accounts file: the deliveries that are not over, how many of them wait, whether it is
    enabled, its breaker (closed, open or probing), and its failures in a row.

    Endpoints that are no longer in the accounts file are listed while something waits for them.
    """
    settings = Settings.from_env()
    with places.store(settings) as client:
        known = _known(places.accounts(settings), count_pending(client))
        states = EndpointViews(client).states([where for where, *_ in known])
    rows = [_row(*one, state) for one, state in zip(known, states, strict=True)]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        console().print(table(COLUMNS, map(_shown, rows)))


def _known(
    accounts: Accounts, pending: Counter[Destination]
) -> list[tuple[Destination, str | None, str, int]]:
    """Each endpoint's destination, name, URL, and deliveries that are not over."""
    left = dict(pending)
    rows: list[tuple[Destination, str | None, str, int]] = [
        (Destination(account, hook.key), hook.name, _without_query(hook.url), _taken(left, account, hook))
        for account, hook in all_endpoints(accounts)
    ]
    return rows + [(where, None, "(not in the accounts file)", count) for where, count in left.items()]


def _taken(left: dict[Destination, int], account: str, hook: Endpoint) -> int:
    return sum(left.pop(Destination(account, key), 0) for key in hook.keys)


def _row(
    where: Destination, name: str | None, url: str, pending: int, state: EndpointState
) -> tuple[Any, ...]:
    enabled = "disabled" if state.disabled else "enabled"
    waiting = max(pending - state.in_flight, 0)
    return (*where, name, url, pending, waiting, enabled, state.breaker, state.failures)


def _shown(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple("-" if cell is None else cell for cell in row)


def _without_query(url: str) -> str:
    """The URL without its query, which may hold tokens."""
    return urlsplit(url)._replace(query="").geturl()
