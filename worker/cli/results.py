"""`callworker results`: terminal events from the results queue."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

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
    broker_url = places.broker(Settings.from_env())
    for body in _events(broker_url, follow=follow, most=most):
        click.echo(body if as_json else describe(body))


class _Enough(Exception):
    """The queue is empty and no more are wanted."""


def _events(broker_url: str, *, follow: bool, most: int | None) -> Iterator[str]:
    """At most `most` events. The reader acknowledges one when it is asked for the next: that one it gives back."""
    from worker.delivery.reader import read_results

    taken = 0

    def pause(seconds: float) -> None:
        if taken == most:
            raise _Enough
        time.sleep(seconds)

    reader = cast(Generator[str, None, None], read_results(broker_url, follow=follow, pause=pause))
    with closing(reader) as bodies:
        try:
            for body in bodies:
                if taken == most:
                    return
                yield body
                taken += 1
        except _Enough:
            return


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
