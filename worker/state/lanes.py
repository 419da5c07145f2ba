"""Why the jobs of a lane wait, and how many of them could go now. Decided here alone, for the counts and for one job's
view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.core.limits import Pace, open_slots
from worker.core.records import Reason

STUCK_US = 1_000_000
"""If the first job of a lane could have gone for longer, its wait has nothing to do with the rate."""

FRESH_US = 10_000_000
"""What was noted at the last lease from a lane counts for this long."""

LIMIT_FIELDS = ("inflight", "hold", "pace", "tat", "served", "bound")
"""The fields of `limit:ACCOUNT` that `Lane.read` takes."""

_NO_LIMIT = b"1 0 0 0 1"


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane and its account's limits as they are now. Moments are in microseconds of the store's clock.

    `head_us` is the moment from which the first job may go, `served_us` when a job was leased last. `noted` is what
    held the lane up then, if workers have noted it, see `bound` in scripts/README.md.
    """

    now_us: int
    head_us: int
    in_flight: int
    hold: str | None
    pace: Pace
    tat_us: int
    served_us: int
    noted: Reason | None

    @classmethod
    def read(cls, now_us: int, head_us: int, fields: Sequence[Any]) -> Lane:
        """Read the values of `LIMIT_FIELDS` as Redis replies them; each may be absent."""
        in_flight, hold, pace, tat, served, bound = fields
        return cls(
            now_us=now_us,
            head_us=head_us,
            in_flight=int(in_flight or 0),
            hold=hold.decode() if hold else None,
            pace=Pace.unpacked((pace or _NO_LIMIT).decode()),
            tat_us=int(tat or 0),
            served_us=int(served or 0),
            noted=Reason.of((bound or b"").partition(b" ")[0].decode()),
        )

    @property
    def open_us(self) -> int:
        """For how long the first job could have gone but for a place; negative while its slot is to come."""
        return self.now_us - max(self.tat_us - self.pace.tolerance_us, self.head_us)

    def reason(self, stopped: Reason | None) -> Reason:
        """Return what holds up the jobs of the lane that are ready. `stopped` is why no worker dials, if none does."""
        if self.hold is not None:
            return Reason.HELD
        if stopped is not None:
            return stopped
        noted = self.noted if self.now_us - self.served_us <= FRESH_US else None
        if self.open_us <= STUCK_US and (noted or self.open_us < 0):
            return noted or Reason.RATE_LIMIT
        return Reason.CONCURRENCY if self.in_flight >= self.pace.concurrency else Reason.NO_PLACES

    def eligible(self, ready: int) -> int:
        """Return how many of `ready` jobs limits would let go now."""
        if self.hold is not None:
            return 0
        free = self.pace.concurrency - self.in_flight
        return max(min(ready, free, open_slots(self.tat_us, self.now_us, self.pace)), 0)
