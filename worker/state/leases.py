"""Leases as the scripts reply them, with their times on this process's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from worker.core.jobs import Job
from worker.core.records import Due, Lease, Reason, Slot
from worker.core.retry import Tally
from worker.state.offset import ClockOffset

log = structlog.get_logger(__name__)

Span = tuple[float, float]
"""When calls were sent, and when their replies were there, on this process's monotonic clock."""

_MICRO = 1_000_000


class LeaseReplies:
    """Reads them; what each tells of Redis' clock serves the next. Thread-safe."""

    def __init__(self) -> None:
        self._offset = ClockOffset()

    def learn(self, span: Span, now_us: int) -> None:
        """A reply of that span said `now_us`."""
        self._offset.learn(*span, now_us)

    def leases(self, rows: Sequence[list[Any]], span: Span, lease_us: int) -> list[Lease]:
        """The leases that can be read. A job written by another version, in a form that this one does not know, must
        not take the others along: its lease runs out, and a worker that can read it decides."""
        leases = []
        for row in rows:
            try:
                leases.append(self.lease(row, span, lease_us))
            except (ValueError, TypeError, OverflowError) as error:
                log.error("job.unreadable", job=text(row[1]), problem=type(error).__name__)
        return leases

    def lease(self, row: list[Any], span: Span, lease_us: int, job: Job | None = None) -> Lease:
        """A reply of `lease_reply` in common.lua. Where the clocks leave a doubt, the slot is the shorter one."""
        (_, job_id, due, fence, packed, accepted, expires, sent, not_rung, perhaps,
         now, slot, valid, probe, why, since, account, lag) = row  # fmt: skip
        now_us, slot_us, lag_us = int(now), int(slot), int(lag)
        offset = self._offset.learn(*span, now_us)
        return Lease(
            job=_job_of(job, packed) or Job.unpacked(text(job_id), text(account), packed),
            fence=int(fence),
            due=Due(text(due)),
            tally=Tally(int(sent), int(not_rung), int(perhaps)),
            accepted_at_us=int(accepted),
            expires_at_us=int(expires),
            clock_offset_us=round(offset.least_us) + lag_us,
            slot=Slot(
                opens=max((slot_us - offset.least_us) / _MICRO, span[1]),
                closes=(slot_us + int(valid) - offset.most_us) / _MICRO,
                lease_ends=(now_us + lease_us - offset.most_us) / _MICRO,
            ),
            probe=bool(probe),
            waited_for=Reason(text(why)) if why else None,
            waited_seconds=max(now_us + lag_us - int(since), 0) / _MICRO if why else 0.0,
        )


def _job_of(known: Job | None, packed: bytes) -> Job | None:
    """The job in hand, if it is the one on record: under a lost reply's name another one of its id may have come."""
    return known if known is not None and known.packed().encode() == packed else None


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
