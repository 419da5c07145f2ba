"""A worker's threads on a store of three servers: while one hangs or is gone, the jobs of the others go on."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import REF, account, accounts
from tests.doubles.watchers import CountedSuspects, NotedDeadLetters, NotedFaults, NotedWatch
from tests.processes import wait_until
from tests.several_servers import SeveralServers, several_servers
from worker.core.current import CurrentAccounts
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.judging import Submission
from worker.core.ports import Gate
from worker.core.records import Source
from worker.core.settling import Settler
from worker.core.verify import Calls, Overdue, Reception
from worker.engine.dialler import Dialler
from worker.engine.greenlets import GivingWay
from worker.engine.intake import Intake
from worker.engine.keeper import Keeper, LeasesInHand
from worker.engine.loops import Loop, Wakes
from worker.engine.parts import Grace, Part
from worker.engine.recorder import Recorder
from worker.engine.releaser import Releaser
from worker.engine.sweeper import Sweeper
from worker.inbound.entry import Entry

AWAY = 1
PLACES = 100
JOBS = 30
"""How many jobs of each account come before and during an outage. A third of them has to wait for its slot."""


class Provider:
    """Places every call at once, and counts the requests of each job."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        assert api_key
        gate.opens()
        self.asked[job.id] += 1
        return REF


class Watch(NotedWatch):
    """Notes when each job finished (s), by its account."""

    def __init__(self) -> None:
        super().__init__()
        self.finished_at: dict[str, list[tuple[float, str]]] = {}

    def finished(self, job_id: str, account: str, event: Event, code: str, seconds: float) -> None:
        super().finished(job_id, account, event, code, seconds)
        self.finished_at.setdefault(account, []).append((time.monotonic(), job_id))


class Worker:
    """The threads of a worker that take jobs in, dial and record, and an account on each server."""

    def __init__(self, store: SeveralServers) -> None:
        self.store = store
        self.names = [store.account_on(n) for n in range(len(store.servers))]
        owners = accounts(*(account(name, "100/s", burst=20, concurrency=50) for name in self.names))
        known, ledger = CurrentAccounts(owners), redis_ledger(store.scripts())
        self.watch, self.faults, self.provider = Watch(), NotedFaults(), Provider()
        self.acknowledged: Counter[str] = Counter()
        in_hand, wakes, closing = LeasesInHand(), Wakes(), threading.Event()
        woken = wakes.of("releaser")
        self.recorder = Recorder(ledger, self.watch, self.faults, in_hand, room=woken.set)
        settler = Settler(ledger, self.recorder, self.watch, closing=closing)
        calls = Calls(known, self.provider, settler, GivingWay(), 15.0)
        self.dialler = Dialler(PLACES, calls.dial, self.faults, in_hand, freed=woken.set)
        reception = Reception(ledger, known, NotedDeadLetters(), self.watch)
        self.intake = Intake(
            reception, NotedDeadLetters(), CountedSuspects(), self.dialler, self.faults, waiting=woken.set
        )
        sweeper = Sweeper(ledger, Overdue(known, settler).decide, self.recorder)
        self._closing = closing
        self._loops = [
            Loop(name, turn, self.faults, wakes.of(name))
            for name, turn in {
                "recorder": self.recorder.turn,
                "keeper": Keeper(ledger, in_hand).turn,
                "releaser": _often(Releaser(ledger, self.dialler).turn),
                "sweeper": _often(sweeper.turn),
                "intake": self.intake.turn,
            }.items()
        ]

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        self._closing.set()
        stopped: list[Part] = [self.dialler, *reversed(self._loops)]
        for part in stopped:
            part.stop()
        for part in stopped:
            part.join(Grace(5))

    def put(self, name: str, number: int) -> None:
        """Have a message come with a job of the account on server `number`."""
        fields = {
            "id": name,
            "account": self.names[number],
            "country": "1",
            "phone": "2125555555",
            "code": "4321",
        }
        raw = json.dumps(fields).encode()

        def done() -> None:
            self.acknowledged[name] += 1

        self.intake.put(Entry(raw, lambda: Submission(fields, Source.STREAM), done, Source.STREAM))

    def put_some(self, kind: str) -> None:
        """Have the same number of jobs come for each account."""
        for n in range(JOBS):
            for number in range(len(self.names)):
                self.put(f"{kind}-{number}-{n}", number)

    def count(self, number: int) -> int:
        """How many jobs of an account have finished."""
        return len(self.watch.finished_at.get(self.names[number], ()))


def _often(turn: Callable[[], float]) -> Callable[[], float]:
    """Without the lookout, which wakes these loops in time."""
    return lambda: min(turn(), 0.05)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("ACME_PROXSTOP_KEY", "0123456789abcdef0123456789abcdef")
    with several_servers(3, others_on=0) as store:
        made = Worker(store)
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_accounts_of_the_other_servers_go_on(worker: Worker, how: str) -> None:
    """Their jobs end while the server is away; those of its own end once it is back. Nobody is called twice."""
    worker.put_some("before")
    wait_until(lambda: min(map(worker.count, range(3))) == JOBS, "all jobs have ended")
    server: Any = worker.store.servers[AWAY]
    getattr(server, how)()
    worker.put_some("during")
    others = [number for number in range(3) if number != AWAY]
    wait_until(lambda: all(worker.count(number) == 2 * JOBS for number in others), "the others go on")
    assert worker.count(AWAY) == JOBS and worker.intake.put_off == JOBS
    worker.put("late", AWAY)
    {"freeze": server.thaw, "kill": server.start}[how]()
    wait_until(lambda: worker.count(AWAY) == 2 * JOBS + 1, "the account of the server goes on too")
    wait_until(lambda: not worker.intake.in_hand and not worker.recorder.unrecorded, "nothing is in hand")
    assert set(worker.provider.asked.values()) == set(worker.acknowledged.values()) == {1}
    assert len(worker.provider.asked) == 6 * JOBS + 1 and not worker.faults.failed
