"""Runs the demo: sends the jobs, and watches their outcome from outside."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.broker.queues import INTAKE
from worker.cli.demo.receiver import Received
from worker.cli.demo.scenario import BROKEN_MESSAGES, Planned
from worker.cli.demo.stage import Stage
from worker.core.accounts import Accounts
from worker.core.events import event_type, tells_of_job
from worker.delivery.reader import read_results
from worker.producer import Producer
from worker.redisio.connection import connect
from worker.sandbox import ServedRequest
from worker.state.dead_letters import RedisDeadLetters

DEADLINE_SECONDS = 45.0
SURPLUS_SECONDS = 1.0
"""How long to keep watching after everything has come, for events that should not come."""


@dataclass
class Seen:
    """The outcome as seen from outside: events by job, bodies by event id, calls by number, webhooks, dead letters.

    An event that was published twice with one id counts once. `metrics` is the worker's page, read at the end.
    """

    seconds: float = 0.0
    events: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    bodies: dict[str, str] = field(default_factory=dict)
    calls: Mapping[str, Sequence[ServedRequest]] = field(default_factory=dict)
    webhooks: Sequence[Received] = ()
    dead_letters: int = 0
    metrics: str = ""
    log: str = ""
    complaints: Sequence[str] = ()

    def take_event(self, body: str) -> None:
        """Note an event of a job. One of another type is left out."""
        event = json.loads(body)
        if not tells_of_job(event["type"]):
            return
        self.events[event["data"]["id"]][event["id"]] = event
        self.bodies[event["id"]] = body


class _Over(Exception):
    """Signals that everything has come, or that the time is up."""


def perform(stage: Stage, jobs: Sequence[Planned], show: Callable[[Seen], None]) -> Seen:
    """Send `jobs` and read the results queue until all have ended. Calls `show` several times a second."""
    audience = _Audience(stage, jobs, show)
    send(stage, jobs)
    try:
        for body in read_results(stage.server.broker_url, follow=True, pause=audience.pause):
            audience.seen.take_event(body)
    except _Over:
        audience.look()
    _read_the_rest(stage, audience.seen)
    return audience.seen


class _Audience:
    """Looks at the parts whenever the results queue is empty, and decides when the demo is over."""

    def __init__(self, stage: Stage, jobs: Sequence[Planned], show: Callable[[Seen], None]) -> None:
        self.seen = Seen()
        self._stage, self._jobs, self._show = stage, jobs, show
        self._started = time.monotonic()
        self._complete_seconds: float | None = None

    def look(self) -> None:
        """Collect what the sandbox and the receiver have seen, and show it."""
        self.seen.seconds = time.monotonic() - self._started
        self.seen.calls = _by_number(self._stage.sandbox.requests())
        self.seen.webhooks = self._stage.receiver.received()
        self._show(self.seen)

    def pause(self, wait_seconds: float) -> None:
        """Look, then wait. Raises _Over when there is nothing more to come."""
        self.look()
        if self._complete_seconds is None and is_complete(self._stage.props.accounts, self._jobs, self.seen):
            self._complete_seconds = self.seen.seconds
        if self._over() or not self._stage.worker.alive:
            raise _Over
        time.sleep(wait_seconds)

    def _over(self) -> bool:
        complete = self._complete_seconds
        surplus_over = complete is not None and self.seen.seconds > complete + SURPLUS_SECONDS
        return surplus_over or self.seen.seconds > DEADLINE_SECONDS


def send(stage: Stage, jobs: Sequence[Planned]) -> None:
    """Send most jobs as a Python producer does, and some as plain JSON, as a program in another language does."""
    checked = [job.fields for job in jobs if not job.case.plain for _ in range(job.case.copies)]
    plain = [job.fields for job in jobs if job.case.plain] + list(BROKEN_MESSAGES)
    with Producer(stage.server.broker_url) as producer:
        producer.enqueue_many(checked)
    with connect(stage.server.url) as client:
        for fields in plain:
            client.xadd(INTAKE.name, {"job": json.dumps(fields)})


def wanted_webhooks(accounts: Accounts, jobs: Sequence[Planned]) -> dict[str, int]:
    """The number of events that the endpoints of each account must receive."""
    counts = dict.fromkeys(accounts, 0)
    for job in jobs:
        if job.case.account in accounts:
            account = accounts[job.case.account]
            counts[account.name] += len(account.endpoints_for(event_type(job.case.status)))
    return counts


def is_complete(accounts: Accounts, jobs: Sequence[Planned], seen: Seen) -> bool:
    """Tell whether every job has ended and all webhooks came, including the one that is delivered twice."""
    wanted = sum(wanted_webhooks(accounts, jobs).values())
    return len(seen.webhooks) > wanted and all(job.id in seen.events for job in jobs)


def _by_number(served: Sequence[ServedRequest]) -> Mapping[str, Sequence[ServedRequest]]:
    calls: dict[str, list[ServedRequest]] = defaultdict(list)
    for request in served:
        if request.call == "telephonecall":
            calls[request.phone].append(request)
    return calls


def _read_the_rest(stage: Stage, seen: Seen) -> None:
    with connect(stage.server.url) as client:
        seen.dead_letters = RedisDeadLetters(client).count()
    seen.metrics, seen.log = stage.worker.metrics(), stage.worker.log_text()
    seen.complaints = stage.worker.complaints(most=10)
