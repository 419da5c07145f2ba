"""A rate limit as arithmetic: the generic cell rate algorithm (GCRA), with the time given as an argument.

Each account has one number in Redis, its theoretical arrival time (TAT). The *slot* of a request is a moment on the
account's schedule. Up to `burst` slots may be at the same moment; after them slots are `interval` apart. The limit
applies to the moment of sending. That comes a little after the slot, so the schedule leaves room for the delay:

    a window of one period P, ends included, holds at most floor((P + delay) / interval) + burst requests

With the interval longer by `MARGIN`, this is at most `rate + burst` as long as each request leaves less than
`interval + MARGIN * P` after its slot. A worker that is later than `valid`, well below that, gives the slot up.

Source: ITU-T I.371, annex A (virtual scheduling algorithm).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache

MARGIN = 0.006
"""The share of the rate that stays unused, so that a late sender cannot break the limit."""

MAX_AHEAD_US = 1_000_000
"""The most microseconds by which a slot may be ahead. A schedule beyond that is from before the clock was set back."""

EASES = (0.0, 0.02, 0.08)
"""Further shares of the rate that stay unused, step by step, while slots lapse on overloaded machines."""

_VALID_SHARE, _MAX_VALID_US = 0.65, 2_000_000
_CATCH_UP_SHARE, _MAX_CATCH_UP_US = 0.2, 100_000
_PERIODS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")


@dataclass(frozen=True, slots=True)
class Pace:
    """An account's limit in the units of the scripts: whole microseconds.

    - `interval_us`: between two slots
    - `tolerance_us`: how far a burst may be ahead of the schedule
    - `valid_us`: how long after its slot a request may still leave
    - `catch_up_us`: how far the schedule may lag behind the clock; slots missed before that are lost
    - `concurrency`: requests in flight
    - `period_us`: the period of the rate
    """

    interval_us: int
    tolerance_us: int
    valid_us: int
    catch_up_us: int
    concurrency: int
    period_us: int = 0

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, requests: int, period_us: int, burst: int, concurrency: int) -> Pace:
        """Return the pace of `requests` per `period_us`, of which `burst` may go back to back."""
        interval_us = math.ceil(period_us * (1 + MARGIN) / requests)
        slack_us = period_us // requests + int(MARGIN * period_us)
        return cls(
            interval_us=interval_us,
            tolerance_us=(burst - 1) * interval_us,
            valid_us=min(int(slack_us * _VALID_SHARE), _MAX_VALID_US),
            catch_up_us=min(int(slack_us * _CATCH_UP_SHARE), _MAX_CATCH_UP_US),
            concurrency=concurrency,
            period_us=period_us,
        )

    def eased(self, step: int) -> Pace:
        """Return the pace with a larger margin, so that slots are valid for longer. `step` is an index of `EASES`."""
        room_us = int(self.period_us * EASES[step] * _VALID_SHARE)
        return replace(
            self,
            interval_us=math.ceil(self.interval_us * (1 + EASES[step])),
            valid_us=min(self.valid_us + room_us, _MAX_VALID_US),
        )

    @classmethod
    @lru_cache(maxsize=1024)
    def unpacked(cls, text: str) -> Pace:
        """Read what `packed` wrote, in this version or in an earlier one without the period."""
        return cls(*(int(number) for number in text.split()))

    def packed(self) -> str:
        """Write the form that the scripts keep: the six integers in order, separated by spaces."""
        return (
            f"{self.interval_us} {self.tolerance_us} {self.valid_us} {self.catch_up_us} {self.concurrency} "
            f"{self.period_us}"
        )


def parse_rate(text: str) -> tuple[int, int]:
    """Read a rate: "60/m" → 60 requests and a period of 60,000,000 µs. Raises ValueError with the rule."""
    match = _RATE.fullmatch(text)
    if not match:
        raise ValueError(
            'must be a whole number from 1 to 999999 and a period, such as "5/s", "60/m" or "100/h"'
        )
    return int(match[1]), _PERIODS_US[match[2]]


def possible(tat_us: int, now_us: int, pace: Pace) -> int:
    """Return the TAT to continue with. If the clock was set back, the account need not wait until it has caught up."""
    return min(tat_us, now_us + MAX_AHEAD_US + pace.tolerance_us + pace.interval_us)


def grant(tat_us: int, now_us: int, ready_us: int, ahead_us: int, pace: Pace) -> tuple[int, int] | int:
    """Give the next slot to a job that is ready at `ready_us`, if the slot is at most `ahead_us` ahead.

    Returns (slot, new TAT), or only the moment of the slot if it is further ahead. `next_slot` in `common.lua` does the
    same; a property test checks that the two agree.
    """
    slot_us = max(tat_us - pace.tolerance_us, now_us - pace.catch_up_us, min(tat_us, now_us), ready_us)
    if slot_us > now_us + ahead_us:
        return slot_us
    return slot_us, max(tat_us, slot_us) + pace.interval_us


def open_slots(tat_us: int, now_us: int, pace: Pace) -> int:
    """Count the slots that `grant` would give one after the other at `now_us`, none of them ahead."""
    if tat_us - pace.tolerance_us > now_us:
        return 0
    first_us = max(tat_us, now_us - pace.catch_up_us)
    return (now_us + pace.tolerance_us - first_us) // pace.interval_us + 1
