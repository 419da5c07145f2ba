"""One run of workers and jobs on an installation: some trials, a drain after every few, and a verdict."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.load import ENDINGS, Sent
from tests.faults.namespace import Namespace
from tests.faults.oracle import Verdict
from tests.faults.proxy import Proxy
from tests.faults.servers import Provider
from tests.faults.whereabouts import is_buried, whereabouts
from tests.faults.windows import Waking
from tests.faults.workers import Fleet, is_dead, is_frozen, woken_at
from tests.integration.stack import Worker

if TYPE_CHECKING:
    from tests.faults.bench import Bench, RequestsHeard

DRAINED_WITHIN_SECONDS = 180.0
LONG_SECONDS = 60.0
"""How long a drain waits before it looks whether all missing jobs are among the dead letters."""
LOOK_SECONDS = 0.05
LINGER_SECONDS = 1.5
"""How long a worker that was frozen, or met an error, runs on before it is told to end. It retries failures after 1 s,
so that its next steps are seen."""

SURPLUS_SECONDS = 0.5
"""How long a drain waits for surplus events after the last expected one."""


def random_seconds(least: float, most: float) -> float:
    """Return a random duration of a fault, log-uniform: most faults are brief, a few last almost `most`."""
    return math.exp(random.uniform(math.log(least), math.log(most)))


@dataclass
class Run:
    """Some trials over one fleet, judged together."""

    bench: Bench
    folder: Path
    """The folder of the workers' logs."""
    provider: Provider
    fleet: Fleet
    proxies: dict[str, Proxy]
    heard: RequestsHeard
    namespace: Namespace | None = None
    endings: Sequence[str] = ENDINGS
    jobs: list[Sent] = field(default_factory=list)
    armed: list[Worker] = field(default_factory=list)
    """The workers that were given failpoints, or were frozen."""
    drains: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    mended: float = 0.0
    _frozen: dict[Worker, float] = field(default_factory=dict)
    """The frozen workers, each with the time since when (Unix seconds)."""
    _to_wake: list[tuple[float, Worker]] = field(default_factory=list)
    _to_go: list[tuple[float, Worker]] = field(default_factory=list)
    _undrained: int = 0

    def send(self, count: int, pause_seconds: float = 0.0) -> None:
        for _ in range(count):
            self.jobs += self.bench.load.send(1, pause_seconds, self.endings)

    def repair(self) -> None:
        """Note that the fault is over."""
        self.mended = time.time()

    def freeze_one(self, seconds: float) -> None:
        """Freeze a standing worker, which another one will replace, and wake it after `seconds`."""
        worker = self.fleet.freeze_one()
        self.fleet.standing.remove(worker)
        self.armed.append(worker)
        self._to_wake.append((time.monotonic() + seconds, worker))

    def arm(self, orders: str) -> Worker:
        """Start one more worker, with failpoints."""
        worker = self.fleet.launch(orders)
        self.armed.append(worker)
        return worker

    def look(self) -> None:
        """Do what a supervisor would: wake, note, end and replace workers. Called in every wait."""
        for due in [due for due in self._to_wake if due[0] <= time.monotonic()]:
            self._to_wake.remove(due)
            self.fleet.wake(due[1])
        self.armed = [worker for worker in self.armed if not is_dead(worker)]
        for worker in self.armed:
            if is_frozen(worker):
                self._frozen.setdefault(worker, time.time())
        for worker in [worker for worker in self._frozen if not is_frozen(worker)]:
            since = self._frozen.pop(worker)
            self.fleet.wakings.append(Waking(woken_at(worker) - 2 * LOOK_SECONDS, since))
            self.let_go(worker)
        for due in [due for due in self._to_go if due[0] <= time.monotonic()]:
            self._to_go.remove(due)
            due[1].terminate()
        self.fleet.supervise()

    def let_go(self, worker: Worker) -> None:
        """Tell a worker to end, after a while."""
        self._to_go.append((time.monotonic() + LINGER_SECONDS, worker))

    def dismiss(self) -> None:
        """Tell the armed workers that did not meet their failpoint to end."""
        waited_for = {worker for _, worker in (*self._to_wake, *self._to_go)}
        for worker in self.armed:
            if not is_dead(worker) and worker not in self._frozen and worker not in waited_for:
                worker.terminate()

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look until `holds()`; return whether it did within `seconds`."""
        ends = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < ends:
            self.look()
            time.sleep(LOOK_SECONDS)
        return held

    def pause(self, least: float, most: float) -> None:
        """Pause for a random time, watching the workers."""
        self.wait(lambda: False, random.uniform(least, most))

    def last(self, least: float, most: float) -> None:
        """Let a fault last for `random_seconds`, watching the workers."""
        self.wait(lambda: False, random_seconds(least, most))

    def drain(self, within_seconds: float = DRAINED_WITHIN_SECONDS) -> None:
        """Wait until every event came and every frozen worker went on, and note how long it took."""
        waited, self._undrained = self.jobs[self._undrained :], len(self.jobs)
        self.wait(lambda: not self._frozen and not self._to_wake and not self._to_go, DRAINED_WITHIN_SECONDS)
        self.dismiss()
        drained = self._drained(waited, min(within_seconds, LONG_SECONDS)) or self._drained(
            waited, within_seconds
        )
        self.wait(lambda: False, SURPLUS_SECONDS)
        if drained:
            self.drains.append(max(self.bench.oracle.last_arrival(waited) - self.mended, 0.0))
        for worker in self.armed:
            if not is_dead(worker):
                self.fleet.retire(worker)
        self.armed.clear()

    def _drained(self, jobs: Sequence[Sent], within_seconds: float) -> bool:
        """Return whether within that time every event came except those of buried jobs."""
        self.wait(lambda: not self.bench.oracle.missing(jobs), within_seconds)
        return all(is_buried(self.bench.state, job.id) for job in self.bench.oracle.missing(jobs))

    def judge(self, *, unharmed: bool = False) -> Verdict:
        """Return the verdict. `unharmed` is that of `Cell`.

        Requests over an ill line reach the provider late. So with proxies the limits are judged by the times at which
        the proxy heard the requests.
        """
        served = self.provider.served()
        sent = self.heard.requests if self.proxies else [(request.unix, request.phone) for request in served]
        where = partial(whereabouts, self.bench.state)
        deaths = self.fleet.deaths if unharmed else None
        return self.bench.oracle.judge(self.jobs, served, sent, self.fleet.wakings, where, deaths)
