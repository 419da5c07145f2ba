"""`callworker webhooks`: deliveries that wait, by account and endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import click
import redis

from worker.cli import places
from worker.cli.output import console, example, json_option, print_json, table
from worker.core.accounts import Accounts
from worker.core.shards import SHARDS
from worker.redisio.runner import store_errors
from worker.settings import Settings
from worker.state import keys

CHUNK = 1000
COLUMNS = ("account", "endpoint", "url", "pending")


@click.group(epilog=example("callworker webhooks list"))
def command() -> None:
    """Show webhook deliveries that wait for their next attempt."""


@command.command("list", epilog=example("callworker webhooks list", "callworker webhooks list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List every endpoint of the accounts file and how many deliveries wait for it."""
    settings = Settings.from_env()
    with places.store(settings) as client, store_errors():
        rows = _rows(places.accounts(settings), count_pending(client))
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    else:
        console().print(table(COLUMNS, rows))


def count_pending(client: redis.Redis) -> Counter[tuple[str, str]]:
    """Waiting deliveries by (account, endpoint key); reads all of them, some thousand at a time."""
    counts: Counter[tuple[str, str]] = Counter()
    for shard in range(SHARDS):
        prefix = keys.prefix(shard)
        members = (member.decode() for member, _ in client.zscan_iter(f"{prefix}deliveries", count=CHUNK))
        while chunk := [member.split("|") for member in islice(members, CHUNK)]:
            counts.update(_with_accounts(client, prefix, chunk))
    return counts


def _with_accounts(client: redis.Redis, prefix: str, chunk: list[list[str]]) -> Iterator[tuple[str, str]]:
    with client.pipeline(transaction=False) as pipeline:
        for job_id, _, _ in chunk:
            pipeline.hget(f"{prefix}job:{job_id}", "account")
        owners = pipeline.execute()
    for (_, endpoint, _), owner in zip(chunk, owners, strict=True):
        if owner is not None:
            yield owner.decode(), endpoint


def _rows(accounts: Accounts, pending: Counter[tuple[str, str]]) -> list[tuple[Any, ...]]:
    known = {(name, hook.key): hook.url for name, account in accounts.items() for hook in account.webhooks}
    gone = {place: "(not in the accounts file)" for place in pending if place not in known}
    return [
        (name, endpoint, _without_query(url), pending[name, endpoint])
        for (name, endpoint), url in (known | gone).items()
    ]


def _without_query(url: str) -> str:
    """The address without its query, where tokens stand."""
    return urlsplit(url)._replace(query="").geturl()
