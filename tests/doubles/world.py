"""The whole use case on doubles: a ledger in memory, a scripted provider, and a clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from tests.doubles.clocks import FakeClock
from tests.doubles.memory_ledger import MemoryLedger, Store
from tests.doubles.samples import REF, accounts, job
from tests.doubles.watchers import NotedDeadLetters, NotedFaults, NotedWatch
from worker.core.accounts import Account
from worker.core.current import CurrentAccounts
from worker.core.jobs import Job
from worker.core.judging import Submission
from worker.core.ports import Gate
from worker.core.records import Lease, Source
from worker.core.retry import Backoff, backoff_seconds
from worker.core.settling import Settler
from worker.core.verify import Calls, Overdue, Reception
from worker.engine.recorder import Recorder
from worker.errors import StoreUnavailable

REQUEST_SECONDS = 15.0
T = TypeVar("T")
Answer = str | Exception | Callable[[], str]


class ScriptedProvider:
    """Gives `answers` one after the other, then refs. `requests` are the moments (s) at which requests left.

    An error in `before_gate` is raised before a request begins; `connect_seconds` are how long the next connections
    take.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers: list[Answer] = []
        self.before_gate: list[Exception] = []
        self.requests: list[float] = []
        self.connect_seconds: list[float] = []

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        assert api_key
        if self.before_gate:
            raise self.before_gate.pop(0)
        self._clock.advance(self.connect_seconds.pop(0) if self.connect_seconds else 0.0)
        gate.opens()
        self.requests.append(self._clock())
        answer = self.answers.pop(0) if self.answers else REF
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else answer()


class MovedClock:
    """Waits that move the test's clock, in the caller's own thread."""

    def __init__(self, clock: FakeClock) -> None:
        self.sleep = clock.advance

    def aside(self, work: Callable[[], T]) -> T:
        return work()


class World:
    """Workers that share a store; `worker` numbers are for tests that need two."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *owners: Account, wait: Backoff = backoff_seconds
    ) -> None:
        monkeypatch.setenv("ACME_PROXSTOP_KEY", "0123456789abcdef0123456789abcdef")
        self.clock, self.store = FakeClock(), Store()
        self.ledger = MemoryLedger(self.store, self.clock)
        self.provider, self.watch = ScriptedProvider(self.clock), NotedWatch()
        self.dead_letters = NotedDeadLetters()
        self.recorder = Recorder(self.ledger, self.watch, NotedFaults())
        self.settler = Settler(self.ledger, self.recorder, self.watch, self.clock)
        known = self.accounts = CurrentAccounts(accounts(*owners))
        self.reception = Reception(self.ledger, known, self.dead_letters, self.watch)
        waits = MovedClock(self.clock)
        self.calls = Calls(known, self.provider, self.settler, waits, REQUEST_SECONDS, wait)
        self.overdue = Overdue(known, self.settler)

    def share(self, other: World) -> None:
        """Use the other world's store from now on, like a worker with another accounts file."""
        self.store = other.store
        self.ledger.store = other.store

    def accept(self, *jobs: Job, places: int = 1) -> list[Lease]:
        submissions = [
            Submission(one.model_dump(mode="json", exclude_none=True), Source.CELERY) for one in jobs
        ]
        return self.reception.accept(submissions, places).leases

    def lease(self, name: str = "job-1", **fields: Any) -> Lease:
        """Accept a job that may go at once, and return its lease."""
        (lease,) = self.accept(job(name, **fields))
        return lease

    def dial(self, leases: Iterable[Lease]) -> None:
        """Place the calls, and record what was decided."""
        try:
            for lease in leases:
                self.calls.dial(lease)
        finally:
            self.record()

    def decide_overdue(self, *leases: Lease) -> None:
        for lease in leases:
            self.overdue.decide(lease)
        self.record()

    def record(self) -> None:
        """Record the decisions, in as many tries as it takes; while the store is away they are kept."""
        while self.recorder.unrecorded and not self.store.away:
            with suppress(StoreUnavailable):
                self.recorder.turn()

    def run(self, seconds: float, step_seconds: float = 0.05) -> None:
        """Let a worker release and sweep for `seconds` of the test's clock."""
        ends = self.clock() + seconds
        while self.clock() < ends:
            self.decide_overdue(*self.ledger.reclaim(50))
            self.dial(self.ledger.lease_due(1).leases)
            self.clock.advance(step_seconds)

    def event(self, name: str = "job-1") -> dict[str, Any]:
        """Return the one event of a job."""
        (body,) = (body for body in self.events() if body["data"]["id"] == name)
        return body

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(event.body) for _, event in self.store.outbox]

    def outcome(self, name: str = "job-1") -> tuple[str, str, int]:
        """Return (type, ref or error code, attempts) of a job's event."""
        event = self.event(name)
        data = event["data"]
        return event["type"], data.get("ref") or data["error"]["code"], data["attempts"]
