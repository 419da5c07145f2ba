"""Says which workers live or were lost, which accounts files they have, and when Redis will be full."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import redis

from worker.cli.doctor.finding import Finding
from worker.core.events import rfc3339
from worker.core.figures import StoreFacts
from worker.core.fleet import Drain, Fleet, Report
from worker.core.forecast import Sample, full_in_seconds
from worker.errors import WrongKey
from worker.network.causes import Cause
from worker.network.remedies import REMEDIES
from worker.state.drains import RedisDrain
from worker.state.memory import RedisMemory
from worker.state.workers import RedisWorkers

SOON_SECONDS = 24 * 3600.0
"""Redis that is full sooner is worth a warning, as in the alert CallworkerRedisFilling."""

LOST_REMEDY = (
    "look at the log and the machine of each: it was killed, or hangs; a worker that starts takes its place"
)
DIFFER_REMEDY = "give all workers the same accounts file; they use it without a restart"
DRAIN_REMEDY = "`callworker drain --undo` ends it; `callworker audit` says who began it, and why"
REFUSED_REMEDY = "correct the file: the worker goes on with the one before, and would not start with this one"

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis holds about workers and its memory; empty where a key has another type."""

    fleet: Fleet
    samples: Sequence[Sample]
    drain: Drain | None = None


def look(client: redis.Redis) -> Found:
    """Read it. Raises StoreUnavailable."""
    samples: Sequence[Sample] = _told(RedisMemory(client).samples, [])
    return Found(_told(RedisWorkers(client).fleet, Fleet()), samples, RedisDrain(client).read())


def check(found: Found, facts: StoreFacts, now: float) -> Iterator[Finding]:
    """Yield what was found. `now` is this machine's time (Unix seconds)."""
    # While Redis takes no writes, no worker can report that it lives.
    if facts.problem is None:
        yield _workers(found.fleet)
    if found.drain is not None:
        yield _drain(found.drain, found.fleet.living)
    if found.fleet.living:
        yield _files(found.fleet.living)
        yield from _refusals(found.fleet.living)
    if facts.memory_used_bytes is not None:
        samples = [*found.samples, Sample(now - (facts.clock_ahead_seconds or 0.0), facts.memory_used_bytes)]
        yield from _growth(full_in_seconds(samples, facts.memory_limit_bytes or 0))


def _workers(fleet: Fleet) -> Finding:
    living, lost = len(fleet.living), len(fleet.lost)
    if not lost:
        return Finding.ok("workers", f"{living} alive" if living else "none has started")
    text = f"{living} alive; {lost} fell silent without having stopped, on {_hosts(fleet.lost)}"
    return (Finding.warn if living else Finding.fail)("workers", text, LOST_REMEDY)


def _drain(drain: Drain, living: Sequence[Report]) -> Finding:
    since = f" since {rfc3339(drain.since_ms * 1000)}" if drain.since_ms else ""
    quiet = sum(one.drained == drain.id for one in living)
    reason = f" ({drain.reason})" if drain.reason else ""
    text = f"nothing is taken in or dialled{since}{reason}; {quiet} of {len(living)} workers have nothing in hand"
    return Finding.warn("drain", text, DRAIN_REMEDY)


def _files(living: Sequence[Report]) -> Finding:
    files = sorted({one.accounts for one in living})
    if len(files) == 1:
        return Finding.ok("accounts files", f"all workers have the same one ({files[0]})")
    told = (f"{file} on {_hosts([one for one in living if one.accounts == file])}" for file in files)
    return Finding.warn("accounts files", f"workers have different ones: {'; '.join(told)}", DIFFER_REMEDY)


def _refusals(living: Sequence[Report]) -> Iterator[Finding]:
    for problem in sorted({one.refuses for one in living if one.refuses}):
        hosts = _hosts([one for one in living if one.refuses == problem])
        yield Finding.fail("refused accounts file", f"on {hosts}: {problem}", REFUSED_REMEDY)


def _growth(seconds: float | None) -> Iterator[Finding]:
    """Yield nothing if it is not known yet, or if there is no limit."""
    if seconds is None:
        return
    if math.isinf(seconds):
        yield Finding.ok("Redis growth", "memory has not grown in the last hours")
        return
    text = f"Redis is full in {seconds / 3600:.0f} hours at this rate"
    if seconds >= SOON_SECONDS:
        yield Finding.ok("Redis growth", text)
    else:
        yield Finding.warn("Redis growth", text, REMEDIES[Cause.MEMORY])


def _hosts(workers: Sequence[Report]) -> str:
    return ", ".join(sorted({one.host for one in workers}))


def _told(read: Callable[[], Told], otherwise: Told) -> Told:
    """Return `otherwise` for a key of another type, of which "Redis keys" tells."""
    with suppress(WrongKey):
        return read()
    return otherwise
