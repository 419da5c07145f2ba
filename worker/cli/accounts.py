"""`callworker accounts`: limits and backlog of every account; `hold` and `resume`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import redis

from worker.cli import places
from worker.cli.audited import Trail, why_option
from worker.cli.output import example, json_option, print_json, print_rows, say, span
from worker.core.accounts import Account
from worker.core.figures import AccountCount
from worker.settings import Settings
from worker.state import holds
from worker.state.census import Census
from worker.telemetry.labels import OPERATOR_HOLD

COLUMNS = ("account", "rate", "burst", "in flight", "waiting", "why", "oldest", "webhooks", "held")
NAMED = 20
"""How many accounts an error names."""


@click.group(
    invoke_without_command=True,
    epilog=example("callworker accounts", "callworker accounts hold acme --reason 'invoice open'"),
)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show every account: its limits, its waiting jobs and why they wait, and whether it is held."""
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json is only for `callworker accounts` without a subcommand")
        return
    settings = Settings.from_env()
    with places.store(settings) as client:
        accounts = places.accounts(settings)
        counts = {count.name: count for count in Census(client).accounts(list(accounts))}
    found = [(accounts[name], counts.get(name, AccountCount(name))) for name in accounts]
    if as_json:
        print_json([_document(account, count) for account, count in found])
    else:
        print_rows(COLUMNS, [_row(account, count) for account, count in found])


all_option = click.option("--all", "of_all", is_flag=True, help="All accounts of the accounts file.")


@command.command(
    "hold",
    epilog=example(
        "callworker accounts hold acme --reason 'invoice open'",
        "callworker accounts hold --all --reason incident",
    ),
)
@click.argument("name", required=False)
@all_option
@click.option("--reason", default="", help="A note that is shown together with the hold.")
@why_option
def hold(name: str | None, of_all: bool, reason: str, why: str) -> None:
    """Stop all calls of account NAME until `resume`. Jobs are still accepted, wait, and may expire.

    With --all, accounts that an operator holds already keep their hold and its reason.
    """
    told = _told(reason)
    with _store(name, of_all, "hold", why or reason) as (client, names):
        changed = holds.hold_all(client, names, told) if of_all else holds.hold(client, names[0], told)
    if of_all:
        say(f"{changed} of {len(names)} accounts are held by this ({told})")
        return
    say(f"{name} is held ({told})" if changed else f"{name} was held already ({told})")


@command.command(
    "resume",
    epilog=example("callworker accounts resume acme", "callworker accounts resume --all --reason incident"),
)
@click.argument("name", required=False)
@all_option
@click.option("--reason", help="With --all: only accounts that an operator holds with this reason.")
@why_option
def resume(name: str | None, of_all: bool, reason: str | None, why: str) -> None:
    """End the hold on account NAME, whether an operator or the worker set it."""
    if reason is not None and not of_all:
        raise click.UsageError("--reason is only for --all")
    only = "" if reason is None else _told(reason)
    with _store(name, of_all, "resume", why, reason) as (client, names):
        changed = holds.resume_all(client, names, only) if of_all else holds.resume(client, names[0])
    if of_all:
        say(f"{changed} of {len(names)} accounts are resumed" + (f" ({only})" if only else ""))
        return
    say(f"{name} is resumed" if changed else f"{name} was not held")


def _told(reason: str) -> str:
    """Return an operator's reason as the hold has it."""
    return f"{OPERATOR_HOLD}: {' '.join(reason.split())}" if reason.strip() else OPERATOR_HOLD


@contextmanager
def _store(
    name: str | None, of_all: bool, act: str, why: str, reason: str | None = None
) -> Iterator[tuple[redis.Redis, list[str]]]:
    """Open the store for a change to an account or to all, which is put on the audit trail. Yields also their names.

    Raises UsageError if the accounts file has no such account, and unless one of both is given.
    """
    if (name is None) is not of_all:
        raise click.UsageError("name one account, or give --all")
    settings = Settings.from_env()
    with places.store(settings) as client:
        accounts = places.accounts(settings)
        if name is not None and name not in accounts:
            raise click.UsageError(
                f"no account {name!r} in the accounts file; it has {_some(list(accounts))}"
            )
        only = {} if reason is None else {"reason": reason}
        detail = {"all": len(accounts), **only} if of_all else {}
        Trail(client, settings, why).note(f"accounts {act}", account=name or "", detail=detail)
        yield client, list(accounts) if name is None else [name]


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _row(account: Account, count: AccountCount) -> tuple[object, ...]:
    reasons = ", ".join(f"{number} {reason}" for reason, number in count.waiting.items() if number)
    return (
        account.name,
        account.rate,
        account.burst,
        f"{count.in_flight} of {account.concurrency}",
        sum(count.waiting.values()),
        reasons or "-",
        span(count.oldest_seconds) if count.oldest_seconds else "-",
        count.pending,
        count.hold or "-",
    )


def _document(account: Account, count: AccountCount) -> dict[str, Any]:
    return {
        "account": account.name,
        "rate": account.rate,
        "burst": account.burst,
        "concurrency": account.concurrency,
        "ttl": account.ttl,
        "attempts": account.attempts,
        "redials": account.redials,
        "countries": None if account.countries is None else list(account.countries),
        "waiting": {reason.value: number for reason, number in count.waiting.items()},
        "oldest_waiting_seconds": round(count.oldest_seconds, 3),
        "in_flight": count.in_flight,
        "eligible": count.eligible,
        "held": count.hold,
        "webhooks_pending": count.pending,
    }
