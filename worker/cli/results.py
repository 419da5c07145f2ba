"""`callworker results`: events from the results queue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from worker.cli import places
from worker.cli.ending import any_end_like_ctrl_c
from worker.cli.output import example, json_option, print_document, printable, say
from worker.core.events import tells_of_job
from worker.settings import Settings

MAX_PEEK = 100


@click.command(
    epilog=example(
        "callworker results --follow",
        "callworker results --peek",
        "callworker results --max 10 --json | jq .data.id",
    )
)
@click.option("--follow", is_flag=True, help="Wait for more events until Ctrl-C.")
@click.option(
    "--peek",
    is_flag=True,
    help=f"Leave the events in the queue. Shows the oldest {MAX_PEEK}, unless --max is given.",
)
@click.option("--max", "most", type=click.IntRange(1), metavar="N", help="Stop after N events.")
@json_option
def command(follow: bool, peek: bool, most: int | None, as_json: bool) -> None:
    """Take events from the queue `results` and print them, one per line, oldest first.

    Printed events are gone from the queue, except with --peek, which RabbitMQ counts as a redelivery. With --json each
    event is printed as it was published, with all characters outside ASCII as JSON escapes.
    """
    from worker.delivery.reader import peek_results, read_results

    if peek and follow:
        raise click.UsageError("--peek and --follow cannot be used together")
    settings = Settings.from_env()
    broker, queue_type = places.broker(settings), settings.amqp_queue_type
    found = (
        peek_results(broker, most or MAX_PEEK, queue_type)
        if peek
        else read_results(broker, follow=follow, most=most, queue_type=queue_type)
    )
    with any_end_like_ctrl_c():
        number = _print_all(found, as_json)
    if not number:
        say("callworker: no events in queue `results`", err=True)


def _print_all(bodies: Iterable[str], as_json: bool) -> int:
    """Print each event, and return their number."""
    number = 0
    for body in bodies:
        print_document(body) if as_json else say(describe(body))
        number += 1
    return number


def describe(body: str) -> str:
    """Describe an event in one line for a person. A body that is no event is shown as it is."""
    try:
        event = json.loads(body)
        kind, moment, data = event["type"], event["timestamp"], event["data"]
        return (
            _line(moment, kind.removeprefix("call."), data)
            if tells_of_job(kind)
            else _other(moment, kind, data)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return printable(repr(body))


def _other(moment: str, kind: str, data: dict[str, Any]) -> str:
    """Describe an event that is no job's by the fields of its `data`, whatever they are."""
    return printable(f"{moment}  {kind}  " + ", ".join(f"{name}: {value}" for name, value in data.items()))


def _line(moment: str, status: str, data: dict[str, Any]) -> str:
    error = data.get("error")
    fields = "".join(f"; {name}: {text}" for name, text in (error or {}).get("fields", {}).items())
    told = f"{error['code']}: {error['message']}{fields}" if error else data["ref"]
    who = f"{data['id']}  {data['account']}  {data['phone'] or '-'}"
    return printable(f"{moment}  {status:<8}  {who}  {data['attempts']} sent  {told}")
