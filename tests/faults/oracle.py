"""The oracle: what really happened, seen at the provider's request log, the results queue, and the webhooks.

Counted per run of jobs, never from a worker's counters:

- *lost*: the broker took the job, and no terminal event of it came, on the results queue or where its account has a
  webhook there;
- *dead letters*: the same, but the job is where the contract puts a message that three workers died at;
- *conflicting*: jobs with two events whose bytes differ, wherever these came;
- *uncalled for*: requests beyond 1 + `redials` of a job that may have rung, and requests and events of jobs that
  nobody sent;
- *not kept*: if no fault touched workers and provider, jobs whose number was rung and answered with a ref, and that
  were rung again or did not end as placed;
- *stopped*: workers that ended by themselves although no fault touched them;
- *over limit*: requests beyond rate + burst in a window (see `windows`);
- *drained*: seconds from the end of the fault to the last event that was missing.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.load import ACCOUNTS, HOOKED, Sent
from tests.faults.servers import Served
from tests.faults.whereabouts import BURIED
from tests.faults.windows import Waking, countable, too_many
from tests.faults.workers import THREADS
from worker.core.limits import parse_rate

JOB_EVENTS = "call."
PLACED = "call.placed"


@dataclass
class Verdict:
    """The counts of one run, with details of those that should be 0."""

    accepted: int = 0
    lost: int = 0
    buried: int = 0
    conflicting: int = 0
    uncalled: int = 0
    over_limit: int = 0
    not_kept: int = 0
    stopped: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def violations(self) -> int:
        return sum((self.lost, self.conflicting, self.uncalled, self.over_limit, self.not_kept, self.stopped))

    def add(self, other: Verdict) -> None:
        self.accepted += other.accepted
        self.lost += other.lost
        self.buried += other.buried
        self.conflicting += other.conflicting
        self.uncalled += other.uncalled
        self.over_limit += other.over_limit
        self.not_kept += other.not_kept
        self.stopped += other.stopped
        self.details += other.details


class Oracle:
    """Collects events by job; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queued: dict[str, set[bytes]] = defaultdict(set)
        self._hooked: dict[str, set[bytes]] = defaultdict(set)
        self._arrived: dict[str, float] = {}
        self._judged: set[str] = set()

    def queued(self, body: bytes, unix: float) -> None:
        """Note an event from the results queue."""
        self._note(self._queued, body, unix)

    def hooked(self, body: bytes, unix: float) -> None:
        """Note an event from a webhook."""
        self._note(self._hooked, body, unix)

    def missing(self, jobs: Iterable[Sent]) -> list[Sent]:
        """Return the jobs for which an event is still missing."""
        with self._lock:
            return [
                job
                for job in jobs
                if job.id not in self._queued or (job.account in HOOKED and job.id not in self._hooked)
            ]

    def last_arrival(self, jobs: Iterable[Sent]) -> float:
        """Return when the latest of these jobs' first events came (Unix seconds); 0 if none came."""
        with self._lock:
            return max((self._arrived.get(job.id, 0.0) for job in jobs), default=0.0)

    def judge(
        self,
        jobs: Sequence[Sent],
        served: Sequence[Served],
        sent: Sequence[tuple[float, str]],
        wakings: Sequence[Waking],
        whereabouts: Callable[[str], str],
        deaths: int | None = None,
    ) -> Verdict:
        """Judge all jobs of a run once it has drained or its time is over, and forget their events.

        `served` is the provider's log, `sent` when each request was sent and for which number, `wakings` when a frozen
        worker went on; times are in Unix seconds. `whereabouts` says where a job is, by its id.
        `deaths` is how many workers ended by themselves, or None if a fault touched them.
        """
        verdict = Verdict(accepted=len(jobs))
        if deaths is not None:
            verdict.stopped = deaths
            verdict.details += ["stopped: a worker ended by itself"] * deaths
            self._judge_answers(verdict, jobs, served)
        self._judge_events(verdict, jobs, whereabouts)
        _judge_calls(verdict, jobs, served)
        _judge_limits(verdict, jobs, sent, wakings)
        return verdict

    def _judge_events(
        self, verdict: Verdict, jobs: Sequence[Sent], whereabouts: Callable[[str], str]
    ) -> None:
        for job in self.missing(jobs):
            where = whereabouts(job.id)
            if where.startswith(BURIED):
                verdict.buried += 1
                continue
            verdict.lost += 1
            verdict.details.append(f"lost: {job.id} of {job.account}; {where}")
        with self._lock:
            for job in jobs:
                bodies = self._queued.pop(job.id, set()) | self._hooked.pop(job.id, set())
                self._arrived.pop(job.id, None)
                if len(bodies) > 1:
                    verdict.conflicting += 1
                    verdict.details.append(f"conflicting: {b' | '.join(sorted(bodies)).decode()}")
            self._judged |= {job.id for job in jobs}
            for strange in {*self._queued, *self._hooked} - self._judged:
                verdict.uncalled += 1
                verdict.details.append(f"uncalled for: an event of {strange}")
            self._queued.clear()
            self._hooked.clear()

    def _judge_answers(self, verdict: Verdict, jobs: Sequence[Sent], served: Sequence[Served]) -> None:
        answered = Counter(request.phone for request in served if request.rung and request.answered)
        with self._lock:
            for job in jobs:
                types = {json.loads(body)["type"] for body in self._queued.get(job.id, ())}
                if answered[job.phone] > 1 or (answered[job.phone] and types - {PLACED}):
                    verdict.not_kept += 1
                    refs = f"{answered[job.phone]} refs given"
                    verdict.details.append(
                        f"not kept: {job.id} of {job.account}, {refs}, ended as {sorted(types)}"
                    )

    def _note(self, events: dict[str, set[bytes]], body: bytes, unix: float) -> None:
        event = json.loads(body)
        if not event["type"].startswith(JOB_EVENTS):
            return
        job_id = str(event["data"]["id"])
        with self._lock:
            if body not in events[job_id]:
                events[job_id].add(body)
                self._arrived[job_id] = unix


def _judge_calls(verdict: Verdict, jobs: Sequence[Sent], served: Sequence[Served]) -> None:
    rung = Counter(request.phone for request in served if request.rung)
    for job in jobs:
        surplus = rung.pop(job.phone, 0) - job.rings_most
        if surplus > 0:
            verdict.uncalled += surplus
            verdict.details.append(
                f"uncalled for: {job.id} of {job.account}, {surplus} more than {job.rings_most}"
            )
    for phone, count in rung.items():
        verdict.uncalled += count
        verdict.details.append(f"uncalled for: {count} of …{phone[-4:]}, which is no job's number")


def _judge_limits(
    verdict: Verdict, jobs: Sequence[Sent], sent: Sequence[tuple[float, str]], wakings: Sequence[Waking]
) -> None:
    for account, requests_of in _by_account(jobs, sent).items():
        requests, period_us = parse_rate(ACCOUNTS[account]["rate"])
        most = requests + int(ACCOUNTS[account]["burst"])
        surplus = too_many(countable(requests_of, wakings, THREADS), period_us / 1_000_000, most)
        verdict.over_limit += len(surplus)
        for window in surplus:
            offsets = " ".join(f"{(moment - window[0]) * 1000:.1f}" for moment in window)
            verdict.details.append(f"over limit: {account} at {window[0]:.3f}, after ms {offsets}")


def _by_account(
    jobs: Sequence[Sent], sent: Sequence[tuple[float, str]]
) -> Mapping[str, list[tuple[float, float]]]:
    """Return, by account, when each request and its job were sent."""
    owner = {job.phone: job for job in jobs}
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for unix, phone in sent:
        if job := owner.get(phone):
            times[job.account].append((unix, job.unix))
    return times
