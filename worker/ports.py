"""What the use case needs from outside. Adapters implement these; tests use honest doubles of the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from worker.accounts import Account
from worker.errors import CallError
from worker.events import Event, Status
from worker.jobs import Job
from worker.retry import Tally


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

    `fence` grows with every lease of the job; only the newest may settle. `clock_offset_us` added to the monotonic
    clock gives Redis' own time. `probe` marks the one job that tries a held account. `waited_seconds` and
    `waited_for` tell of the wait that just ended, None if the job did not wait.
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
    """A job of this id was accepted before; its state is given and nothing was changed."""

    state: str


Admission = Lease | Parked | Seen


@dataclass(frozen=True, slots=True)
class Application:
    """A valid job that asks to be admitted. `may_dial`: this worker has a thread free for it now."""

    job: Job
    account: Account
    source: Source
    may_dial: bool


class Ledger(Protocol):
    """The record of every job. Each method is atomic per job and may raise StoreUnavailable.

    Methods that take a lease raise LeaseLost when its fence is not the newest; then nothing was changed.
    """

    def declare(self, accounts: Iterable[Account]) -> None:
        """Make the limits of `accounts` known: jobs that wait already go by them from now on."""

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """Record jobs that were not seen before; lease those that may go now, park the others in their lanes."""

    def seconds_until_due(self) -> float:
        """Seconds until a waiting job's slot comes: 0 if one is due, infinite if none waits."""

    def lease_due(self, most: int) -> list[Lease]:
        """At most `most` of the waiting jobs that were due when last asked, each with its intent on record."""

    def renew(self, lease: Lease, account: Account, tally: Tally) -> Lease | Parked:
        """A fresh slot and intent for a job in hand, or the job back in its lane if no slot comes at once."""

    def park(self, lease: Lease, tally: Tally, reason: Reason, wait_seconds: float, detail: str = "") -> None:
        """Back into the lane, to be leased no sooner than `wait_seconds` from now; `detail` is for its history."""

    def hold(self, lease: Lease, tally: Tally, code: str) -> None:
        """Park the job and hold its account with `code` as the reason; probes follow by themselves."""

    def settle(self, lease: Lease, account: Account | None, tally: Tally, event: Event) -> None:
        """Record outcome, event and deliveries in one step. A probe that was answered ends the account's hold."""

    def reject(self, job_id: str, account_name: str, account: Account | None, event: Event) -> bool:
        """Record a job that is not allowed as ended. False, and nothing recorded, if its id was seen before."""

    def reclaim(self, most: int, *, lost: bool = True) -> list[Lease]:
        """Leases on waiting jobs that expired (EXPIRED) and on jobs whose worker was lost (LOST).

        With `lost` False only the expired. A lost intent counts as sent and perhaps rung in the lease's tally.
        """


class Provider(Protocol):
    """The telephone verification API."""

    def place_call(self, job: Job, api_key: str, gate: Callable[[], float | None]) -> str:
        """Ask for one call; the provider's ref. Raises CallError.

        `gate` is called once, when the connection stands and before the request's first byte; what it raises reaches
        the caller as it is, and then nothing was sent. It returns the moment of the monotonic clock after which the
        request must not begin, or None. Raises SlotLapsed, nothing sent, when that moment has passed, or when the
        connection was lost behind the gate and making it anew took too long.
        """


class DeadLetters(Protocol):
    """Where messages lie that no event can answer."""

    def bury(self, reason: str, source: Source, content: Mapping[str, Any] | bytes) -> None:
        """Keep `content` with its reason, PIN and secrets redacted. Raises StoreUnavailable."""


class Suspects(Protocol):
    """Remembers, over a crash of the worker, which message it had in hand."""

    def mark(self, raw: bytes) -> int:
        """Note that this process is about to handle `raw`; how many processes noted that since it was last cleared.

        May raise StoreUnavailable.
        """

    def clear(self, raw: bytes) -> None:
        """It was handled without a crash."""


class Watch(Protocol):
    """Hears each fact once, for logs and metrics. Must not raise."""

    def accepted(self, account: str, job_id: str, source: Source) -> None: ...

    def repeated(self, account: str, job_id: str, state: str) -> None: ...

    def parked(self, job: Job, reason: Reason, until_us: int) -> None: ...

    def leased(self, lease: Lease) -> None: ...

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None: ...

    def held(self, job: Job, error: CallError) -> None: ...

    def lease_lost(self, job: Job) -> None: ...

    def refused(self, job: Job, error: CallError) -> None: ...

    def finished(self, job_id: str, account: str, status: Status, code: str, seconds: float) -> None: ...
