"""What goes to the ledger and what comes back from it: values, which do nothing themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar, NamedTuple

from worker.core.accounts import Account
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.repeats import OTHER_ACCOUNT
from worker.core.retry import Tally


class Reason(StrEnum):
    """Why a job waits."""

    RATE_LIMIT = "rate_limit"
    BACKOFF = "backoff"
    CAPACITY = "capacity"
    HELD = "held"


class Source(StrEnum):
    """The way by which a job came in."""

    CELERY = "celery"
    STREAM = "stream"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Slot:
    """When a request may leave, on this process's monotonic clock in seconds.

    Not before `opens`, not after `closes`; the worker owns the job until `lease_ends`.
    """

    opens: float
    closes: float
    lease_ends: float


class Due(StrEnum):
    """Why a lease was given."""

    DIAL = "dial"
    EXPIRED = "expired"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Lease:
    """A job in this worker's hands. With `due` DIAL its intent to dial is on record already.

    `fence` grows with every lease of the job; only the newest may settle, but see `Ledger.reclaim`. `clock_offset_us`
    added to the monotonic clock gives Redis' own time. `probe` marks the one job that tries a held account.
    `waited_seconds` and `waited_for` tell of the wait that just ended, None if the job did not wait.
    """

    job: Job
    fence: int
    due: Due
    tally: Tally
    accepted_at_us: int
    expires_at_us: int
    clock_offset_us: int
    slot: Slot
    probe: bool = False
    waited_for: Reason | None = None
    waited_seconds: float = 0.0

    def now_us(self, monotonic_seconds: float) -> int:
        """Redis' clock (Unix microseconds) at a moment of this process's monotonic clock."""
        return int(monotonic_seconds * 1_000_000) + self.clock_offset_us


@dataclass(frozen=True, slots=True)
class Parked:
    """The job lies in its lane: why, and until when as far as is known (Unix microseconds)."""

    reason: Reason
    until_us: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A job of this account and id is on record already, in `state`; it stays as it is and the newcomer is dropped.

    `differs` names the fields in which the newcomer differs, see `worker.core.repeats`. It is empty for a repeat of the
    same job; otherwise this is a conflict, which is noted at the first job's record.
    """

    state: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """A job of another account was the first to use this id.

    The newcomer is dropped. This is a conflict, which is noted at the first job's record; its state is not shown.
    """

    state: ClassVar[str] = "another account's"
    differs: ClassVar[tuple[str, ...]] = OTHER_ACCOUNT


Known = Seen | Foreign
"""The id was used before."""

Admission = Lease | Parked | Known


@dataclass(frozen=True, slots=True)
class Application:
    """A valid job that asks to be admitted. `may_dial`: this worker has a place for a call free for it now."""

    job: Job
    account: Account
    source: Source
    may_dial: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """The leased job ends with `event`, which goes to the results queue and to the endpoints of `account`."""

    lease: Lease
    account: Account | None
    tally: Tally
    event: Event


@dataclass(frozen=True, slots=True)
class Parking:
    """The leased job goes back into its lane, to be leased no sooner than `wait_seconds` from now.

    `detail` is for its history. With `hold_code` its account is held, for that reason; probes follow by themselves.
    """

    lease: Lease
    tally: Tally
    reason: Reason
    wait_seconds: float = 0.0
    detail: str = ""
    hold_code: str = ""


Decision = Ending | Parking


class Recorded(IntEnum):
    """What became of a decision."""

    LOST = 0
    """The lease is not the job's newest; nothing was changed."""
    DONE = 1
    ROOM = 2
    """Done, and the account had no other place in flight: a job that waited for this one can go now."""
    BLOCKED = 3
    """A key in the store is not of our type; nothing was changed, and the decision is to be given again."""


class Released(NamedTuple):
    """Leases of jobs whose slots have come, and the seconds after which to ask again; infinite if none waits."""

    leases: list[Lease]
    wait_seconds: float


class Standing(NamedTuple):
    """How this worker's accounts file stands to those of all workers that live.

    `newest`: none of them has a newer one. `returned`: no worker with this file was heard of for a while before now, or
    ever. `files`: how many different ones they have.
    """

    newest: bool
    returned: bool
    files: int


@dataclass(frozen=True, slots=True)
class AccountCount:
    """One account as it stands: jobs `waiting` by reason, age of the longest waiting in seconds, calls in flight.

    `hold` is why the account is held, or None; `pending` are webhook deliveries that wait.
    """

    name: str
    waiting: dict[Reason, int]
    oldest_seconds: float
    in_flight: int
    hold: str | None
    pending: int
