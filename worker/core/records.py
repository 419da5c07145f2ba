"""The values that go to the ledger and come back from it. They have no behaviour of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar, NamedTuple

from worker.core.accounts import Account
from worker.core.cancels import Withdrawn
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.repeats import OTHER_ACCOUNT
from worker.core.retry import Tally
from worker.errors import StoreUnavailable


class Reason(StrEnum):
    """Why a job waits.

    CONCURRENCY: its account has as many calls in flight as it may. NO_PLACES: no worker has a free place, or no worker
    lives. PAUSED: the workers dial nothing, see `Pause`. CAPACITY is what earlier versions wrote for all three.
    """

    RATE_LIMIT = "rate_limit"
    CONCURRENCY = "concurrency"
    NO_PLACES = "no_places"
    PAUSED = "paused"
    BACKOFF = "backoff"
    HELD = "held"
    CAPACITY = "capacity"

    @classmethod
    def of(cls, word: str) -> Reason | None:
        """Return the reason that `word` names, or None: another version may have written one that is not known here."""
        return _REASONS.get(word)


_REASONS = {str(reason): reason for reason in Reason}
REASONS: tuple[Reason, ...] = tuple(reason for reason in Reason if reason is not Reason.CAPACITY)
"""The reasons that this version gives."""


class Pause(StrEnum):
    """Why a worker dials nothing: too many events wait or are refused, the store takes no writes, or a drain is on."""

    RESULTS_BACKLOG = "results_backlog"
    RESULTS_REFUSED = "results_refused"
    STORE = "store"
    DRAIN = "drain"


class Source(StrEnum):
    """The way by which a job came in."""

    CELERY = "celery"
    STREAM = "stream"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Slot:
    """When a request may leave: between `opens` and `closes`. The worker owns the job until `lease_ends`.

    All in seconds of this process's monotonic clock.
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
    """A job that this worker has in hand. If `due` is DIAL, the intent to dial is already on record.

    `fence` grows with every lease of the job; only the newest lease may decide, but see `Ledger.reclaim`. The sum of
    `clock_offset_us` and the monotonic clock is Redis' own time. `probe` marks the one job that tries a held account.
    `waited_for` and `waited_seconds` describe the wait that has just ended; None and 0 if the job did not wait.
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
        """Convert a moment of this process's monotonic clock to Redis' own time (Unix µs)."""
        return int(monotonic_seconds * 1_000_000) + self.clock_offset_us


@dataclass(frozen=True, slots=True)
class Parked:
    """The job waits in its lane: why, and until when as far as is known (Unix µs)."""

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


@dataclass(frozen=True, slots=True)
class Later:
    """The part of the store that this needs cannot be reached, while others can: give it again later.

    It may be on record already. `cause` says why. `account_waits`: the account's shard cannot be reached, so its other
    jobs wait too; otherwise only the part that has the id cannot.
    """

    cause: StoreUnavailable
    account_waits: bool = True


Admission = Lease | Parked | Known | Withdrawn | Later


@dataclass(frozen=True, slots=True)
class Application:
    """A valid job that is to be admitted. `may_dial` says that this worker has a free place to dial it now.

    If it has none, `paused` says that this is because it dials nothing. `trace` is as in `Ending`, for a job that ends
    as it comes.
    """

    job: Job
    account: Account
    source: Source
    may_dial: bool
    paused: bool = False
    trace: str = ""

    @property
    def lacks(self) -> Reason:
        """Why the job must wait if `may_dial` is false."""
        return Reason.PAUSED if self.paused else Reason.NO_PLACES


@dataclass(frozen=True, slots=True)
class Ending:
    """The leased job ends with `event`, which goes to the results queue and to the endpoints of `account`.

    `trace` is the job's own trace context, which its record keeps; empty if jobs are not traced.
    """

    lease: Lease
    account: Account | None
    tally: Tally
    event: Event
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Parking:
    """The leased job goes back into its lane, to be leased no sooner than `wait_seconds` from now.

    `detail` goes into its history. If `hold_code` is not empty, its account is held for that reason and then probed.
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
    """The lease may no longer decide; nothing was changed."""
    DONE = 1
    """The decision is on record."""
    ROOM = 2
    """On record; the account had no other place in flight free, so a job that waited for this one can go now."""
    BLOCKED = 3
    """A key in the store has another type; nothing was changed, and the decision must be given again."""
    LATER = 4
    """The job's shard cannot be reached, while others can. The decision may be on record, and must be given again."""


class Released(NamedTuple):
    """Leases of jobs whose slots have come, and in how many seconds to ask again; infinite if no job waits."""

    leases: list[Lease]
    wait_seconds: float


class Standing(NamedTuple):
    """How this worker's accounts file compares with those of all living workers.

    `newest`: no living worker has a newer file. `returned`: before now, no worker reported this file for a while, or
    ever. `files`: how many different files living workers have.
    """

    newest: bool
    returned: bool
    files: int
