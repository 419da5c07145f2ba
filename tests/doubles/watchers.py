"""Doubles of watching ports that remember what was reported to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.core.cancels import Stays
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.ports import Whole
from worker.core.records import Known, Lease, Reason, Source
from worker.core.retry import Tally
from worker.errors import CallError, StoreUnavailable


class NotedWatch:
    """Implements the port `Watch`; `facts` are (name, detail) in the order of the calls."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, Any]] = []

    def named(self, name: str) -> list[Any]:
        return [detail for fact, detail in self.facts if fact == name]

    def accepted(self, account: str, job_id: str, source: Source) -> None:
        self.facts.append(("accepted", (account, job_id, source)))

    def repeated(self, account: str, job_id: str, known: Known) -> None:
        self.facts.append(("repeated", (account, job_id, known)))

    def cancel_noted(self, job_id: str) -> None:
        self.facts.append(("cancel_noted", job_id))

    def not_canceled(self, job_id: str, stays: Stays) -> None:
        self.facts.append(("not_canceled", (job_id, stays.state)))

    def parked(self, job: Job, reason: Reason, until_us: int) -> None:
        self.facts.append(("parked", (job.id, reason, until_us)))

    def leased(self, lease: Lease) -> None:
        self.facts.append(("leased", lease.job.id))

    def first_request(self, lease: Lease, seconds: float) -> None:
        self.facts.append(("first_request", (lease.job.id, seconds)))

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None:
        self.facts.append(("retrying", (type(error), wait_seconds)))

    def held(self, job: Job, error: CallError) -> None:
        self.facts.append(("held", error.code))

    def lease_lost(self, job: Job) -> None:
        self.facts.append(("lease_lost", job.id))

    def refused(self, job: Job, error: CallError) -> None:
        self.facts.append(("refused", error.code))

    def finished(self, job_id: str, account: str, event: Event, code: str, seconds: float) -> None:
        self.facts.append(("finished", (job_id, event.status, code)))


class NotedFaults:
    """Implements the loops' `Faults`, and remembers failures and recoveries."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, Exception]] = []
        self.recovered: list[str] = []

    def loop_failed(self, loop: str, error: Exception) -> None:
        self.failed.append((loop, error))

    def loop_recovered(self, loop: str) -> None:
        self.recovered.append(loop)


class NotedDeadLetters:
    """Implements the port `DeadLetters`; `away` makes it raise StoreUnavailable."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, Source, Mapping[str, Any] | bytes]] = []
        self.wholes: list[Whole | None] = []
        self.job_ids: list[str | None] = []
        self.away = False

    def bury(
        self,
        reason: str,
        source: Source,
        content: Mapping[str, Any] | bytes,
        whole: Whole | None = None,
        job_id: str | None = None,
    ) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.job_ids.append(job_id)
        self.wholes.append(whole)
        self.letters.append((reason, source, content))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _, _ in self.letters]


class CountedSuspects:
    """Implements the port `Suspects` with marks in memory."""

    def __init__(self) -> None:
        self.marks: dict[bytes, int] = {}

    def mark(self, raw: bytes) -> int:
        self.marks[raw] = self.marks.get(raw, 0) + 1
        return self.marks[raw]

    def clear(self, raw: bytes) -> None:
        self.marks.pop(raw, None)
