"""The ledger in memory: keeps the port's promises without a Redis. The contract suite compares it with the real one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.doubles.clocks import FakeClock
from worker.core import repeats
from worker.core.accounts import Account
from worker.core.cancels import (
    NOT_FOUND,
    Answer,
    Cancel,
    Canceled,
    Noted,
    Stays,
    Waiting,
    Withdrawal,
    Withdrawn,
)
from worker.core.events import Event, Status
from worker.core.jobs import Job
from worker.core.limits import Pace, grant, possible
from worker.core.notices import Notice, conflict
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Due,
    Ending,
    Foreign,
    Known,
    Later,
    Lease,
    Parked,
    Parking,
    Reason,
    Recorded,
    Released,
    Seen,
    Slot,
    Standing,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost, StoreUnavailable
from worker.state.accounts_files import LIVES_MS
from worker.state.decisions import FIRST_PROBE_US, LAST_PROBE_US
from worker.state.refusals import STRANGER_MS
from worker.state.releases import AHEAD_US, RECLAIM_LEASE_US

_MICRO = 1_000_000
INSTALLATION = "1" * 32
LIMITED_US = 100_000
"""As in `lease.lua`."""


@dataclass
class Record:
    """A job as the ledger keeps it; times in Unix microseconds."""

    job: Job
    accepted_us: int
    expires_us: int
    state: str = "new"
    fence: int = 0
    tally: Tally = field(default_factory=Tally)
    why: Reason | None = None
    since_us: int = 0
    lease_ends_us: int = 0
    event: Event | None = None
    content: str = ""
    """Of a job that was rejected."""
    returned: bool = False
    """Whether it waits and was in hand before."""
    judged: int = 0
    """The fence of the lease that was taken for lost, until the job is dialled again."""
    canceled: bool = False
    """Whether it ended because it was canceled."""

    @property
    def open(self) -> bool:
        return self.state in ("waiting", "dialling", "settling")

    def digest(self) -> str:
        return repeats.digest(self.job.id, self.job.account, self.content or repeats.content(self.job))


@dataclass
class Limits:
    """An account's schedule, its lane (job id → ready at, µs), and why it is held."""

    name: str
    pace: Pace
    tat_us: int = 0
    in_flight: int = 0
    served_us: int = 0
    generation: int = 0
    hold: str | None = None
    probe_at_us: int = 0
    probes: int = 0
    lane: dict[str, int] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        held = self.hold is not None and (self.probe_at_us == 0 or self.in_flight > 0)
        return held or self.in_flight >= self.pace.concurrency

    def head(self) -> str | None:
        return min(self.lane, key=lambda job_id: (self.lane[job_id], job_id), default=None)

    def due_us(self) -> int | None:
        """The moment when the lane's head may go; None while it may not."""
        head = self.head()
        if head is None or self.blocked:
            return None
        return max(
            self.lane[head],
            self.tat_us - self.pace.tolerance_us,
            self.served_us,
            self.probe_at_us if self.hold else 0,
        )


@dataclass
class Store:
    """The state that all workers share. `away` makes every call raise StoreUnavailable, as if it were on one server.

    `apart` has the accounts whose shards cannot be reached while others can.
    """

    records: dict[str, Record] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    outbox: list[tuple[str, Event]] = field(default_factory=list)
    deliveries: list[tuple[str, str]] = field(default_factory=list)
    strangers: dict[str, tuple[tuple[str, str], int]] = field(default_factory=dict)
    """Jobs of accounts that do not exist: account and digest, and when that was told (µs)."""
    noted: dict[str, str] = field(default_factory=dict)
    """Cancels that came before their jobs: id → the account that they name, or empty."""
    notices: list[Notice] = field(default_factory=list)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each accounts file its generation, and when a worker with it was last heard of (µs)."""
    away: bool = False
    apart: set[str] = field(default_factory=set)


class MemoryLedger:
    """One worker's view of a `Store`: implements `ports.Ledger`. Not thread-safe."""

    def __init__(self, store: Store, clock: FakeClock, *, lease_seconds: float = 30.0) -> None:
        self.store, self._clock = store, clock
        self._lease_us = int(lease_seconds * _MICRO)
        self._file, self._generation = "", 0
        self._accounts: Mapping[str, Account] = {}

    def announce(self, file: str, accounts: Mapping[str, Account]) -> Standing:
        self._available()
        files, left = self.store.files, self._file if self._file != file else None
        known = files.get(file)
        living = {name: number for name, (number, us) in files.items() if self._lives(us)}
        others = [number for name, number in living.items() if name not in (file, left)]
        left_number = files[left][0] if left in files else 0
        number = known[0] if known else 0
        if not known or left_number > max(number, *others, 0):
            number = max((one for one, _ in files.values()), default=0) + 1
        if left in files:
            files[left] = (left_number, max(self._now - (LIVES_MS + 1) * 1000, 0))
        files[file] = (number, self._now)
        self._file, self._generation, self._accounts = file, number, accounts
        returned = known is None or not self._lives(known[1])
        return Standing(number > max(others, default=0), returned, len(others) + 1)

    def _lives(self, heard_us: int) -> bool:
        return abs(self._now // 1000 - heard_us // 1000) <= LIVES_MS

    def declare(self, accounts: Iterable[Account]) -> None:
        self._available()
        for account in accounts:
            limits = self.store.limits.setdefault(account.name, Limits(account.name, account.pace))
            limits.pace, limits.generation = account.pace, self._generation
            self._limits(account.name)

    def _take_pace(self, limits: Limits, account: Account) -> None:
        known = self._accounts.get(account.name)
        generation = self._generation if known is not None and known.pace == account.pace else 0
        if generation >= limits.generation:
            limits.pace, limits.generation = account.pace, generation

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        self._available()
        return [
            self._later(one.job.account) or self._reported(self._admit(one), one.job) for one in applications
        ]

    def is_apart(self, error: StoreUnavailable) -> bool:
        return bool(self.store.apart) and not self.store.away

    def _later(self, account: str) -> Later | None:
        return Later(StoreUnavailable("apart")) if account in self.store.apart else None

    def _reported(self, admission: Admission, job: Job) -> Admission:
        if isinstance(admission, Known):
            self._tell_conflict(job.id, job.account, admission, repeats.content(job))
        return admission

    def _tell_conflict(self, job_id: str, account: str, known: Known, content: str) -> None:
        if known.differs:
            self.store.notices.append(conflict(job_id, account, known, content, b"secret"))

    def tell(self, notices: Sequence[Notice]) -> list[Later | None]:
        self._available()
        answers = [self._later(notice.account) for notice in notices]
        self.store.notices += [one for one, later in zip(notices, answers, strict=True) if later is None]
        return answers

    def installation(self) -> str:
        return INSTALLATION

    def cancel(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting | Later]:
        self._available()
        return [self._later(self._owner(wish)) or self._cancel(wish) for wish in wishes]

    def _owner(self, wish: Cancel | Withdrawal) -> str:
        record = self.store.records.get(wish.job_id)
        return record.job.account if record else ""

    def _cancel(self, wish: Cancel | Withdrawal) -> Answer | Waiting:
        record = self.store.records.get(wish.job_id)
        account = wish.account or "" if isinstance(wish, Cancel) else ""
        if record is None:
            before = self.store.noted.get(wish.job_id, account)
            self.store.noted[wish.job_id] = account if before == account else ""
            return Noted()
        owner = record.job.account
        if account not in ("", owner):
            return Stays(account, NOT_FOUND)
        if record.state == "waiting":
            return self._withdraw(record, wish)
        if record.open:
            return Stays(owner, "dialling", record.fence)
        return Canceled() if record.canceled else Stays(owner, record.state)

    def _withdraw(self, record: Record, wish: Cancel | Withdrawal) -> Waiting | Withdrawn:
        found = Waiting(record.job, record.fence, record.tally, record.accepted_us, self._wall)
        if not isinstance(wish, Withdrawal) or replace(wish.found, now_us=self._wall) != found:
            return found
        record.canceled = True
        self._limits(record.job.account).lane.pop(record.job.id, None)
        self._conclude(record, wish.account, wish.ended.event)
        return wish.ended

    def lease_due(self, most: int) -> Released:
        self._available()
        leases: list[Lease] = []
        while len(leases) < most:
            ready = sorted(
                (due, limits.name) for limits in self.store.limits.values() if (due := self._due(limits))
            )
            found = [lease for _, name in ready[: most - len(leases)] if (lease := self._lease_head(name))]
            if not found:
                break
            leases += found
        dues = [due for limits in self.store.limits.values() if (due := limits.due_us()) is not None]
        wait_us = max(min(dues) - self._now - AHEAD_US // 2, 0) if dues else math.inf
        return Released(leases, wait_us / _MICRO)

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        record, limits = self._in_hand(lease)
        late = self._take_back(record, limits, lease)
        if record.state != "dialling" and not late:
            raise LeaseLost(lease.job.id)
        self._take_pace(limits, account)
        record.tally = tally
        limits.tat_us = possible(limits.tat_us, self._now, limits.pace)
        probe = limits.hold is not None and limits.probe_at_us > 0 and lease.probe
        slot = grant(limits.tat_us, self._now, self._now, AHEAD_US, limits.pace)
        if not late and not isinstance(slot, int) and (probe or limits.hold is None):
            limits.tat_us, record.lease_ends_us = slot[1], self._now + self._lease_us
            return self._lease(record, Due.DIAL, slot[0], limits.pace.valid_us, probe=probe)
        self._release(record, limits)
        held = limits.hold is not None
        until_us = limits.probe_at_us if held else limits.tat_us - limits.pace.tolerance_us
        ready_us = min(record.accepted_us - self._wall + self._now, self._now)
        why = Reason.HELD if held else Reason.RATE_LIMIT
        return self._wait(record, limits, ready_us, why, until_us, returned=True)

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        self._available()
        return [
            Recorded.LATER if self._later(decision.lease.job.account) else self._decide(decision)
            for decision in decisions
        ]

    def reject(
        self,
        job_id: str,
        account_name: str,
        account: Account | None,
        event: Event,
        content: str,
        trace: str = "",
    ) -> Known | None:
        self._available()
        if later := self._later(account_name):
            raise later.cause
        if job_id in self.store.records:
            known = self._seen(job_id, account_name, content)
            self._tell_conflict(job_id, account_name, known, content)
            return known
        if account is None:
            return self._turn_away(job_id, account_name, event, content)
        self.store.noted.pop(job_id, None)
        broken = Job.model_construct(id=job_id, account=account_name, country="", phone="", code="")
        self.store.records[job_id] = Record(broken, self._wall, self._wall, content=content)
        self._conclude(self.store.records[job_id], account, event)
        return None

    def _turn_away(self, job_id: str, account_name: str, event: Event, content: str) -> Seen | None:
        told = (account_name, repeats.digest(job_id, account_name, content))
        known, told_us = self.store.strangers.get(job_id, (None, 0))
        if known == told and self._now - told_us < STRANGER_MS * 1000:
            return Seen("rejected")
        self.store.strangers[job_id] = (told, self._now)
        self.store.outbox.append((account_name, event))
        return None

    def _seen(self, job_id: str, account_name: str, content: str, job: Job | None = None) -> Known:
        known = self.store.records[job_id]
        if known.job.account != account_name:
            return Foreign()
        if known.event is None and job is not None:
            return Seen(known.state, repeats.differing(known.job, job))
        same = known.digest() == repeats.digest(job_id, account_name, content)
        return Seen(known.state, () if same else repeats.OTHER_FIELDS)

    def extend(self, leases: Sequence[Lease]) -> None:
        self._available()
        for lease in leases:
            record = self.store.records[lease.job.id]
            if record.fence == lease.fence and record.state in ("dialling", "settling"):
                record.lease_ends_us = self._now + self._lease_us

    def reclaim(self, most: int) -> list[Lease]:
        self._available()
        leases = [self._reclaim_lost(record) for record in self._lost()[:most]]
        return leases + [self._reclaim_expired(record) for record in self._expired()[:most]]

    def _decide(self, decision: Decision) -> Recorded:
        """Carry out a decision (see `record`). The same event a second time also counts as recorded."""
        record = self.store.records[decision.lease.job.id]
        if (
            isinstance(decision, Ending)
            and record.event is not None
            and (record.event.id, record.event.status) == (decision.event.id, decision.event.status)
        ):
            return Recorded.DONE
        rung = isinstance(decision, Ending) and decision.event.status is Status.PLACED
        try:
            record, limits = self._in_hand(decision.lease, rung=rung)
        except LeaseLost:
            return Recorded.LOST
        self._take_back(record, limits, decision.lease)
        full = limits.in_flight >= limits.pace.concurrency
        record.tally = decision.tally
        self._release(record, limits)
        if isinstance(decision, Ending):
            self._end(decision, record, limits)
        else:
            self._park(decision, record, limits)
        return Recorded.ROOM if full else Recorded.DONE

    def _end(self, ending: Ending, record: Record, limits: Limits) -> None:
        answered = ending.event.status in (Status.PLACED, Status.FAILED)
        if ending.lease.probe and answered and limits.probe_at_us > 0:
            limits.hold, limits.probe_at_us, limits.probes = None, 0, 0
        self._conclude(record, ending.account, ending.event)

    def _park(self, parking: Parking, record: Record, limits: Limits) -> None:
        if parking.hold_code and (limits.hold is None or 0 < limits.probe_at_us <= self._now):
            limits.hold = parking.hold_code
            limits.probe_at_us = self._now + min(FIRST_PROBE_US * 2**limits.probes, LAST_PROBE_US)
            limits.probes += 1
        ready_us = self._now + int(parking.wait_seconds * _MICRO)
        self._wait(record, limits, ready_us, parking.reason, ready_us, returned=True)

    @property
    def _now(self) -> int:
        """The clock for slots, waits and leases."""
        return self._clock.steady_us

    @property
    def _wall(self) -> int:
        """The clock for times shown to people and for the expiry of jobs."""
        return self._clock.now_us

    def _told(self, moment_us: int) -> int:
        return moment_us + self._wall - self._now if moment_us else 0

    def _available(self) -> None:
        if self.store.away:
            raise StoreUnavailable("away")

    def _limits(self, name: str) -> Limits:
        limits = self.store.limits[name]
        limits.tat_us = possible(limits.tat_us, self._now, limits.pace)
        limits.served_us = min(limits.served_us, self._now)
        return limits

    def _admit(self, application: Application) -> Admission:
        job, pace = application.job, application.account.pace
        if job.id in self.store.records:
            return self._seen(job.id, job.account, repeats.content(job), job)
        if self.store.noted.pop(job.id, None) in ("", job.account):
            return self._withdraw_early(application)
        limits = self.store.limits.setdefault(job.account, Limits(job.account, pace))
        self._take_pace(limits, application.account)
        record = self._record(application)
        return self._go_or_wait(record, self._limits(job.account), application)

    def _withdraw_early(self, application: Application) -> Withdrawn:
        record, now_us = self._record(application), self._wall
        installation = self.installation()
        ended = Withdrawn.after(Tally(), record.job, now_us, now_us, fence=0, installation=installation)
        record.canceled = True
        self._conclude(record, application.account, ended.event)
        return ended

    def _record(self, application: Application) -> Record:
        job = application.job
        expires_us = self._wall + application.account.ttl * _MICRO
        if job.expires_at is not None:
            expires_us = int(job.expires_at.timestamp() * _MICRO)
        return self.store.records.setdefault(job.id, Record(job, self._wall, expires_us))

    def _go_or_wait(self, record: Record, limits: Limits, application: Application) -> Lease | Parked:
        slot = grant(limits.tat_us, self._now, self._now, AHEAD_US, limits.pace)
        first = all(ready_us > self._now for ready_us in limits.lane.values())
        full = limits.in_flight >= limits.pace.concurrency
        free = application.may_dial and not full and limits.hold is None
        if not isinstance(slot, int) and first and free and record.expires_us > self._wall:
            return self._begin(record, limits, *slot)
        if limits.hold is not None:
            return self._wait(record, limits, self._now, Reason.HELD, limits.probe_at_us)
        if not isinstance(slot, int) and (full or not application.may_dial):
            lacks = Reason.CONCURRENCY if full else application.lacks
            return self._wait(record, limits, self._now, lacks, self._now)
        schedule_us = max(limits.tat_us - limits.pace.tolerance_us, self._now)
        until_us = schedule_us + len(limits.lane) * limits.pace.interval_us
        return self._wait(record, limits, self._now, Reason.RATE_LIMIT, until_us)

    def _due(self, limits: Limits) -> int | None:
        due_us = limits.due_us()
        return due_us if due_us is not None and due_us <= self._now + AHEAD_US else None

    def _lease_head(self, name: str) -> Lease | None:
        limits = self._limits(name)
        while (head := limits.head()) and self._too_late(head, limits):
            del limits.lane[head]
        if head is None or limits.blocked:
            return None
        ready_us = max(limits.lane[head], limits.probe_at_us if limits.hold else 0)
        slot = grant(limits.tat_us, self._now, ready_us, AHEAD_US, limits.pace)
        if isinstance(slot, int):
            return None
        del limits.lane[head]
        record = self.store.records[head]
        late_us = limits.tat_us - limits.pace.tolerance_us - ready_us
        if late_us >= LIMITED_US and limits.hold is None and record.why in (Reason.NO_PLACES, Reason.PAUSED):
            record.why = Reason.RATE_LIMIT
        return self._begin(record, limits, *slot)

    def _too_late(self, job_id: str, limits: Limits) -> bool:
        """Return whether a job is ready but cannot be dialled in time."""
        ready = limits.lane[job_id] <= self._now + AHEAD_US
        return ready and self.store.records[job_id].expires_us <= self._wall + AHEAD_US

    def _begin(self, record: Record, limits: Limits, slot_us: int, tat_us: int) -> Lease:
        limits.tat_us, limits.served_us = tat_us, self._now
        limits.in_flight += 1
        record.fence += 1
        record.state, record.lease_ends_us, record.judged = "dialling", self._now + self._lease_us, 0
        record.returned = False
        lease = self._lease(record, Due.DIAL, slot_us, limits.pace.valid_us, probe=limits.hold is not None)
        record.why = None
        return lease

    def _wait(
        self,
        record: Record,
        limits: Limits,
        ready_us: int,
        why: Reason,
        until_us: int,
        *,
        returned: bool = False,
    ) -> Parked:
        record.state, record.why, record.since_us, record.returned = "waiting", why, self._wall, returned
        limits.lane[record.job.id] = ready_us
        return Parked(why, self._told(until_us))

    def _in_hand(self, lease: Lease, *, rung: bool = False) -> tuple[Record, Limits]:
        """Return the record of a lease that still counts; with `rung`, older leases do. Raises LeaseLost."""
        self._available()
        record = self.store.records[lease.job.id]
        newest = record.fence == lease.fence and record.state in ("dialling", "settling")
        judged = record.judged == lease.fence and record.state in ("waiting", "settling")
        if not newest and not judged and not (rung and record.open and lease.fence < record.fence):
            raise LeaseLost(lease.job.id)
        return record, self._limits(record.job.account)

    def _take_back(self, record: Record, limits: Limits, lease: Lease) -> bool:
        """Take back a job that was judged lost, from its judge or from its lane."""
        late = record.judged == lease.fence and record.state in ("waiting", "settling")
        if late or record.fence != lease.fence:
            record.judged = 0
            limits.lane.pop(record.job.id, None)
        return late

    def _release(self, record: Record, limits: Limits) -> None:
        if record.state == "dialling":
            limits.in_flight -= 1

    def _conclude(self, record: Record, account: Account | None, event: Event) -> None:
        record.state, record.event, record.why = event.status, event, None
        self.store.outbox.append((record.job.account, event))
        if account is not None:
            keys = (endpoint.key for endpoint in account.endpoints_for(event.type))
            self.store.deliveries += [(record.job.id, key) for key in keys]

    def _lost(self) -> list[Record]:
        held = [record for record in self.store.records.values() if record.state in ("dialling", "settling")]
        return sorted(
            (r for r in held if r.lease_ends_us <= self._now), key=lambda r: (r.lease_ends_us, r.job.id)
        )

    def _expired(self) -> list[Record]:
        waiting = [record for record in self.store.records.values() if record.state == "waiting"]
        return sorted(
            (r for r in waiting if r.expires_us <= self._wall), key=lambda r: (r.expires_us, r.job.id)
        )

    def _reclaim_lost(self, record: Record) -> Lease:
        if record.state == "dialling":
            self._limits(record.job.account).in_flight -= 1
            record.judged = record.fence
            record.tally = replace(
                record.tally, sent=record.tally.sent + 1, perhaps_rung=record.tally.perhaps_rung + 1
            )
        return self._take(record, Due.LOST)

    def _reclaim_expired(self, record: Record) -> Lease:
        self._limits(record.job.account).lane.pop(record.job.id, None)
        return self._take(record, Due.EXPIRED)

    def _take(self, record: Record, due: Due) -> Lease:
        record.fence += 1
        record.state, record.lease_ends_us = "settling", self._now + RECLAIM_LEASE_US
        return self._lease(record, due, self._now, 0)

    def _lease(self, record: Record, due: Due, slot_us: int, valid_us: int, *, probe: bool = False) -> Lease:
        now = self._clock()
        return Lease(
            job=record.job,
            fence=record.fence,
            due=due,
            tally=record.tally,
            accepted_at_us=record.accepted_us,
            expires_at_us=record.expires_us,
            clock_offset_us=self._wall - int(now * _MICRO),
            slot=Slot(
                now + max(slot_us - self._now, 0) / _MICRO,
                now + (slot_us + valid_us - self._now) / _MICRO,
                now + (record.lease_ends_us - self._now) / _MICRO,
            ),
            probe=probe,
            waited_for=record.why,
            waited_seconds=max(self._wall - record.since_us, 0) / _MICRO if record.why else 0.0,
        )
