"""Reads the leases that the scripts reply, with their times on this process's own clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog

from worker.core.jobs import Job
from worker.core.records import Due, Lease, Reason, Slot
from worker.core.retry import Tally
from worker.state import keys
from worker.state.offset import ClockOffset
from worker.state.units import to_seconds

log = structlog.get_logger(__name__)

Span = tuple[float, float]
"""When calls were sent and when their replies had arrived, in seconds of this process's monotonic clock."""


class LeaseReply(NamedTuple):
    """The places of a lease in a script's reply. scripts/README.md says what each holds."""

    kind: Any
    job_id: Any
    due: Any
    fence: Any
    packed: Any
    accepted: Any
    expires: Any
    sent: Any
    not_rung: Any
    perhaps: Any
    now: Any
    slot: Any
    valid: Any
    probe: Any
    why: Any
    since: Any
    account: Any
    lag: Any


class LeaseReplies:
    """Reads lease replies. Each reply tells Redis' time, which makes the next ones more exact. Thread-safe."""

    def __init__(self, clock_of: Callable[[str], str] = lambda _: "") -> None:
        """`clock_of` returns for an account's shard, by its prefix, which of the store's clocks it has."""
        self._clock_of = clock_of
        self._offsets: defaultdict[str, ClockOffset] = defaultdict(ClockOffset)

    def learn(self, span: Span, now_us: int, shard: str) -> None:
        """Take note that a reply of that span named `now_us` as the time at `shard`."""
        self._offsets[self._clock_of(shard)].learn(*span, now_us)

    def leases(self, rows: Sequence[list[Any]], span: Span, lease_us: int) -> list[Lease]:
        """Read all leases that can be read.

        A job that another version wrote in a form unknown to this one is logged and left out: its lease runs out, and
        a worker that can read it decides.
        """
        leases = []
        for row in rows:
            try:
                leases.append(self.lease(row, span, lease_us))
            except (ValueError, TypeError, OverflowError) as error:
                job_id = text(LeaseReply(*row).job_id)
                log.error("job.unreadable", job_id=job_id, problem=type(error).__name__)
        return leases

    def lease(self, row: list[Any], span: Span, lease_us: int, job: Job | None = None) -> Lease:
        """Read one lease. Where the clocks leave a doubt, the slot is the shorter one.

        `lease_us` is how long the lease lasts; `job` is the job that the caller asked for, if it asked for one. Raises
        ValueError, TypeError or OverflowError for a job in an unknown form.
        """
        reply = LeaseReply(*row)
        now_us, slot_us, lag_us = int(reply.now), int(reply.slot), int(reply.lag)
        account = job.account if job else text(reply.account)
        offset = self._offsets[self._clock_of(keys.prefix_of(account))].learn(*span, now_us)
        waited_us = max(now_us + lag_us - int(reply.since), 0) if reply.why else 0
        return Lease(
            job=_job_of(reply, job),
            fence=int(reply.fence),
            due=Due(text(reply.due)),
            tally=Tally(int(reply.sent), int(reply.not_rung), int(reply.perhaps)),
            accepted_at_us=int(reply.accepted),
            expires_at_us=int(reply.expires),
            clock_offset_us=round(offset.least_us) + lag_us,
            slot=Slot(
                opens=max(to_seconds(slot_us - offset.least_us), span[1]),
                closes=to_seconds(slot_us + int(reply.valid) - offset.most_us),
                lease_ends=to_seconds(now_us + lease_us - offset.most_us),
            ),
            probe=bool(reply.probe),
            waited_for=Reason.of(text(reply.why)),
            waited_seconds=to_seconds(waited_us),
        )


def _job_of(reply: LeaseReply, known: Job | None) -> Job:
    """Return `known` if it is the job on record, else the job on record.

    They differ if another job of the same id came under the name of a request whose reply was lost.
    """
    if known is not None and known.packed().encode() == reply.packed:
        return known
    return Job.unpacked(text(reply.job_id), text(reply.account), reply.packed)


def text(value: Any) -> str:
    """Decode a string of a reply."""
    return value.decode() if isinstance(value, bytes) else str(value)
