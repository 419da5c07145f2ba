"""`callworker audit`: what operators did by commands."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from worker.cli import moments, places
from worker.cli.output import console, example, json_option, print_json, say, table
from worker.core.events import rfc3339
from worker.settings import Settings
from worker.state.audit import MAX_KEEP, Act, AuditTrail

COLUMNS = ("time", "who", "act", "on", "why", "detail")


@click.command(epilog=example("callworker audit", "callworker audit --since 24h --json"))
@click.option(
    "--since",
    metavar="TIME",
    help="Show nothing older: a span back from now (`90m`, `24h`, `7d`), or a time such as 2026-12-01T09:00:00Z.",
)
@click.option(
    "--most", type=click.IntRange(1, MAX_KEEP), default=50, show_default=True, help="Show at most so many."
)
@json_option
def command(since: str | None, most: int, as_json: bool) -> None:
    """Print the audit trail, newest first: who held or resumed an account, tested, enabled, disabled, replayed or
    rotated a webhook, drained the workers, restored a backup, replayed or dropped a dead letter; when, and why.

    An entry is written before the act, which may still have failed. The newest 10,000 are kept.
    """
    since_ms = 0 if since is None else int(moments.past(since, "--since").timestamp() * 1000)
    with places.store(Settings.from_env()) as client:
        acts = AuditTrail(client).newest(most, since_ms)
    if as_json:
        print_json([act.as_dict() for act in acts])
    elif acts:
        console().print(table(COLUMNS, map(_row, acts)))
    else:
        say("no acts on the audit trail")


def _row(act: Act) -> tuple[str, ...]:
    on = "/".join(filter(None, (act.account, act.endpoint))) or (f"job {act.job}" if act.job else "-")
    detail = ", ".join(_facts(act)) or "-"
    return rfc3339(act.at_ms * 1000), f"{act.who}@{act.host}", act.act, on, act.why or "-", detail


def _facts(act: Act) -> Iterator[str]:
    if act.job and act.account:
        yield f"job {act.job}"
    for name, value in act.detail.items():
        yield f"{name} {value if isinstance(value, str) else json.dumps(value)}"
