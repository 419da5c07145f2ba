"""What was lost, rung twice or sent above a limit in each phase, by what the provider and the subscriber saw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ops.rollout.arrivals import Came
from tests.faults.load import Sent
from tests.faults.servers import Served
from tests.faults.windows import too_many

WINDOW_SECONDS = 0.9
"""All rates here are per second. A tenth of it is for delays between a worker and the provider on a busy machine: one
request that is late makes a window of those behind it look shorter than it was when they left."""

PLACED = "call.placed"


@dataclass(frozen=True)
class Limit:
    """From when on (Unix seconds) a window may hold `requests` + `burst`."""

    unix: float
    requests: int
    burst: int

    @property
    def most(self) -> int:
        return self.requests + self.burst


@dataclass(frozen=True)
class Phase:
    """What was done, when (Unix seconds), the seconds that each stop of a worker took, and what went wrong."""

    told: str
    began_unix: float
    ended_unix: float
    stops: Sequence[float] = ()
    problems: Sequence[str] = ()
    remark: str = ""

    def has(self, unix: float) -> bool:
        return self.began_unix <= unix < self.ended_unix


@dataclass(frozen=True)
class Seen:
    """What was seen of all phases: jobs, the provider's log, and the events by job.

    `hooked` is the account whose events go to a webhook too, `limited` the one whose `limits` are judged, and `prompt`
    are those whose jobs wait for nothing but a worker.
    """

    jobs: Sequence[Sent]
    served: Sequence[Served]
    queue: Came
    hook: Came
    hooked: str
    limited: str
    prompt: Sequence[str]
    limits: Sequence[Limit]


@dataclass
class Row:
    """The counts of one phase: of the jobs that were sent while it lasted. Times are in seconds."""

    broker: str
    phase: str
    jobs: int
    lost: int = 0
    rung_twice: int = 0
    not_placed: int = 0
    conflicting: int = 0
    repeated: int = 0
    over_limit: int = 0
    p50: float = 0.0
    p99: float = 0.0
    pause: float = 0.0
    stops: list[float] = field(default_factory=list)
    remark: str = ""
    details: list[str] = field(default_factory=list)
    """Each breach of a promise. Events may be repeated."""

    @property
    def bad(self) -> bool:
        """Whether a promise was broken, or nothing was tried."""
        return bool(self.details) or not self.jobs


def judge(broker: str, phase: Phase, seen: Seen) -> Row:
    """Return the row of a phase."""
    jobs = [job for job in seen.jobs if phase.has(job.unix)]
    row = Row(broker, phase.told, len(jobs), stops=list(phase.stops), remark=phase.remark)
    row.details += phase.problems
    _judge_events(row, jobs, seen)
    _judge_calls(row, jobs, seen)
    _judge_limit(row, phase, seen)
    _measure(row, phase, jobs, seen)
    return row


def _judge_events(row: Row, jobs: Iterable[Sent], seen: Seen) -> None:
    for job in jobs:
        queued, hooked = seen.queue.get(job.id, ()), seen.hook.get(job.id, ())
        if not queued or (job.account == seen.hooked and not hooked):
            row.lost += 1
            row.details.append(f"lost: {job.id}, {len(queued)} events queued, {len(hooked)} at the webhook")
        row.repeated += max(len(queued) - 1, 0) + max(len(hooked) - 1, 0)
        if len({event.body for event in (*queued, *hooked)}) > 1:
            row.conflicting += 1
            row.details.append(f"events that differ: {job.id}")
        if strange := {event.type for event in queued} - {PLACED}:
            row.not_placed += 1
            row.details.append(f"not placed: {job.id} is {', '.join(sorted(strange))}")


def _judge_calls(row: Row, jobs: Iterable[Sent], seen: Seen) -> None:
    rung = Counter(request.phone for request in seen.served if request.rung)
    for job in jobs:
        if rung[job.phone] > 1:
            row.rung_twice += rung[job.phone] - 1
            row.details.append(f"rung twice: {job.id}, {rung[job.phone]} times")


def _judge_limit(row: Row, phase: Phase, seen: Seen) -> None:
    """Count the windows of the limited account that end in the phase and held too many requests."""
    moments = requests_of(seen, seen.limited)
    ends = [limit.unix for limit in seen.limits[1:]] + [math.inf]
    spans = [(limit.unix, end, limit.most) for limit, end in zip(seen.limits, ends, strict=True)]
    spans.append((0.0, math.inf, max(limit.most for limit in seen.limits)))
    surplus = {
        window[-1]: f"over the limit: {len(window)} requests at {window[0]:.3f}, after ms {_offsets(window)}"
        for since, until, most in spans
        for window in too_many([unix for unix in moments if since <= unix < until], WINDOW_SECONDS, most)
        if phase.has(window[-1])
    }
    row.over_limit = len(surplus)
    row.details += surplus.values()


def _offsets(window: Sequence[float]) -> str:
    return " ".join(f"{(moment - window[0]) * 1000:.0f}" for moment in window)


def requests_of(seen: Seen, *accounts: str) -> list[float]:
    """Return when the provider got each request of these accounts (Unix seconds), in order."""
    phones = {job.phone for job in seen.jobs if job.account in accounts}
    return sorted(request.unix for request in seen.served if request.phone in phones)


def _measure(row: Row, phase: Phase, jobs: Iterable[Sent], seen: Seen) -> None:
    waits = sorted(
        seen.queue[job.id][0].unix - job.unix
        for job in jobs
        if job.account in seen.prompt and seen.queue.get(job.id)
    )
    row.p50, row.p99 = quantile(waits, 0.5), quantile(waits, 0.99)
    moments = [unix for unix in requests_of(seen, *seen.prompt) if phase.has(unix)]
    row.pause = max((after - before for before, after in pairwise(moments)), default=0.0)


def in_force_after(ordered: Sequence[float], changed: float, former: int, new: int) -> float:
    """Return how long after `changed` (Unix seconds) a new limit was seen to be in force, in seconds.

    A higher limit is once a window holds more than `former` requests, infinite if none does; a lower one is after the
    last window with more than `new`.
    """
    ends = [window[-1] - changed for window in too_many(ordered, WINDOW_SECONDS, min(former, new))]
    later = [seconds for seconds in ends if seconds > 0]
    return min(later, default=math.inf) if new > former else max(later, default=0.0)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 of none."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] if ordered else 0.0
