"""`callworker results`: terminal events from the results queue."""

from __future__ import annotations

import json
from typing import Any

import click

from worker.cli import places
from worker.cli.output import example, json_option, printable
from worker.settings import Settings


@click.command(
    epilog=example("callworker results --follow", "callworker results --max 10 --json | jq .data.id")
)
@click.option("--follow", is_flag=True, help="Wait for more, until Ctrl-C.")
@click.option("--max", "most", type=click.IntRange(1), metavar="N", help="Stop after N events.")
@json_option
def command(follow: bool, most: int | None, as_json: bool) -> None:
    """Take events from the queue `results` and print them, one a line, oldest first.

    What is printed here is gone from the queue; --json prints each event exactly as it was published.
    """
    from worker.delivery.reader import read_results

    for body in read_results(places.broker(Settings.from_env()), follow=follow, most=most):
        click.echo(body if as_json else describe(body))


def describe(body: str) -> str:
    """One line for a person; a body that is no event of ours is shown as it is."""
    try:
        event = json.loads(body)
        return _line(event["timestamp"], event["type"].removeprefix("call."), event["data"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return repr(body)


def _line(moment: str, status: str, data: dict[str, Any]) -> str:
    error = data.get("error")
    fields = "".join(f"; {name}: {text}" for name, text in (error or {}).get("fields", {}).items())
    told = f"{error['code']}: {error['message']}{fields}" if error else data["ref"]
    who = f"{data['id']}  {data['account']}  {data['phone'] or '-'}"
    return printable(f"{moment}  {status:<8}  {who}  {data['attempts']} sent  {told}")
