"""`callworker drain`: has all workers take no jobs in and dial nothing, and waits until nothing is in hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import redis

from worker.cli import moments, places
from worker.cli.audited import Trail, why_option
from worker.cli.output import example, json_option, print_json, say
from worker.core.events import rfc3339
from worker.core.fleet import Drain, Fleet
from worker.errors import BrokerUnavailable
from worker.inbound.depth import QueueDepths
from worker.settings import Settings
from worker.state.drains import Left, RedisDrain, left
from worker.state.workers import RedisWorkers

LOOK_SECONDS, TOLD_SECONDS = 0.25, 5.0
"""The pause between two looks, and between two lines that say what is left."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a drain has come."""

    drain: Drain
    fleet: Fleet
    left: Left

    @property
    def busy(self) -> int:
        """The number of living workers that have not said yet that they have nothing in hand."""
        return sum(one.drained != self.drain.id for one in self.fleet.living)

    @property
    def complete(self) -> bool:
        return not (self.busy or self.left.in_hand or self.left.events or self.left.webhooks)

    def words(self) -> Iterator[str]:
        """Say what is left."""
        if self.busy:
            yield f"{self.busy} of {len(self.fleet.living)} workers have something in hand, or do not obey"
        for count, what in (
            (self.left.in_hand, "jobs in hand"),
            (self.left.events, "events for the results queue"),
            (self.left.webhooks, "webhook deliveries"),
        ):
            if count:
                yield f"{count} {what}"
        if not self.fleet.living:
            yield "no worker lives that could end them"


@click.command(epilog=example("callworker drain --reason 'move to new servers'", "callworker drain --undo"))
@click.option("--undo", is_flag=True, help="Let the workers take jobs in and dial again.")
@click.option("--reason", default="", help="A note that is shown wherever the drain is.")
@click.option(
    "--wait",
    "wait",
    default="2m",
    show_default=True,
    metavar="SPAN",
    help="How long to wait until all is out.",
)
@why_option
@json_option
def command(undo: bool, reason: str, wait: str, why: str, as_json: bool) -> None:
    """Have all workers take no jobs in and dial nothing, also those that start later, until `--undo`.

    Waits until no worker has anything in hand, and all events and webhooks are out. Jobs that wait stay in Redis, and
    messages in the broker; both may expire. If something is left after the wait, the exit status is 1, and the drain
    stays on. Run it again to wait again.
    """
    longest = moments.span(wait, "--wait").total_seconds()
    settings = Settings.from_env()
    with places.store(settings) as client:
        if undo:
            _undo(client, settings, why)
            return
        Trail(client, settings, why or reason).note("drain")
        found = _waited(client, RedisDrain(client).begin(reason), longest)
    _print(found, _messages(settings), as_json)
    if not found.complete:
        raise click.exceptions.Exit(1)


def _undo(client: redis.Redis, settings: Settings, why: str) -> None:
    Trail(client, settings, why).note("drain --undo")
    ended = RedisDrain(client).end()
    say("the drain is over: workers take jobs in and dial again" if ended else "the workers were not drained")


def _waited(client: redis.Redis, drain: Drain, longest: float) -> Progress:
    """Look again and again until the drain is complete, at most for `longest` seconds."""
    workers, ends, told_at = RedisWorkers(client), time.monotonic() + longest, time.monotonic()
    while True:
        found = Progress(drain, workers.fleet(), left(client))
        now = time.monotonic()
        if found.complete or now >= ends:
            return found
        if now - told_at >= TOLD_SECONDS:
            told_at = now
            say(f"callworker: waiting: {', '.join(found.words())}", err=True)
        time.sleep(LOOK_SECONDS)


def _messages(settings: Settings) -> int | None:
    """Count the jobs in the broker that no worker has taken; None if it does not answer."""
    depths = QueueDepths(places.broker(settings))
    try:
        return sum(depth for queue, depth in depths.read().items() if queue != "results")
    except BrokerUnavailable:
        return None
    finally:
        depths.close()


def _print(found: Progress, messages: int | None, as_json: bool) -> None:
    if as_json:
        print_json(_document(found, messages))
        return
    living = len(found.fleet.living)
    if found.complete:
        say(f"drained: {living} workers have nothing in hand, all events and webhooks are out")
    else:
        say(f"not drained yet: {', '.join(found.words())}")
    if found.fleet.lost:
        say(f"{len(found.fleet.lost)} workers fell silent without having stopped")
    untaken = "an unknown number of" if messages is None else messages
    say(f"{found.left.waiting} jobs wait in Redis, {untaken} messages in the broker")
    say("nothing is taken in or dialled until `callworker drain --undo`")


def _document(found: Progress, messages: int | None) -> dict[str, Any]:
    drain, fleet = found.drain, found.fleet
    return {
        "drained": found.complete,
        "since": rfc3339(drain.since_ms * 1000),
        "reason": drain.reason or None,
        "workers": len(fleet.living),
        "workers_busy": found.busy,
        "workers_lost": len(fleet.lost),
        "jobs_in_hand": found.left.in_hand,
        "events_unpublished": found.left.events,
        "webhooks_pending": found.left.webhooks,
        "jobs_waiting": found.left.waiting,
        "messages": messages,
    }
