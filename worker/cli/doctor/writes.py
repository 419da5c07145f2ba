"""Says whether Redis takes writes and has memory left, and whether the clocks agree."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.doctor.finding import Finding
from worker.core.costs import MOST_OF_MEMORY
from worker.core.figures import StoreFacts
from worker.network.causes import Cause, because
from worker.network.remedies import REMEDIES, remedy_of

CLOCKS_DIFFER_SECONDS = 5.0
"""How far two clocks may be apart, as in the alert CallworkerClockOff."""

_MEBIBYTE = 1024 * 1024


def check(facts: StoreFacts) -> Iterator[Finding]:
    """Yield what Redis answered to a write, and what it told with it."""
    if facts.problem is None:
        yield Finding.ok("Redis writes", "taken")
    else:
        remedy = remedy_of(facts.problem, "REDIS_URL")
        yield Finding.fail("Redis writes", f"refused{because(facts.problem)}", remedy)
    if facts.memory_used_bytes is not None and facts.memory_limit_bytes is not None:
        yield _memory(facts.memory_used_bytes, facts.memory_limit_bytes)
    if facts.clock_ahead_seconds is not None:
        yield _clock(facts.clock_ahead_seconds)


def _memory(used: int, limit: int) -> Finding:
    if not limit:
        return Finding.ok("Redis memory", f"{used // _MEBIBYTE} MiB used, no maxmemory")
    text = f"{used / limit:.0%} of maxmemory ({limit // _MEBIBYTE} MiB) used"
    if used < MOST_OF_MEMORY * limit:
        return Finding.ok("Redis memory", text)
    return Finding.warn("Redis memory", f"{text}; when it is full, everything stops", REMEDIES[Cause.MEMORY])


def _clock(ahead: float) -> Finding:
    if abs(ahead) <= CLOCKS_DIFFER_SECONDS:
        return Finding.ok("clock", "agrees with Redis' clock")
    text = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Redis' clock"
    return Finding.warn("clock", text, "synchronise the clocks of both machines (NTP)")
