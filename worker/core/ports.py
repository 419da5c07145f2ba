"""What the use case needs from outside. Adapters implement these; tests use honest doubles of the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from worker.core.accounts import Account
from worker.core.events import Event, Status
from worker.core.jobs import Job
from worker.core.retry import Tally
from worker.errors import CallError

T = TypeVar("T")


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
    """A job of this id was accepted before; its state is given, and it stands.

    `differs` names what the newcomer has not in common with it, see `worker.core.repeats`: a conflict, which is noted
    at the first one's record. Empty for the same job again.
    """

    state: str
    differs: tuple[str, ...] = ()


Admission = Lease | Parked | Seen


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


class Ledger(Protocol):
    """The record of every job. Each method is atomic per job and may raise StoreUnavailable.

    Where a key in the store is not of our type, what needs it raises WrongKey, or is left out where others go along.
    """

    def announce(self, file: str) -> Standing:
        """Say which accounts file this worker has, by a digest; to be said again every few seconds.

        From now on the limits that come with jobs count unless a newer file has given others.
        """

    def declare(self, accounts: Iterable[Account]) -> None:
        """Make the limits of `accounts` known: jobs that wait already go by them from now on. For the newest file."""

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """Record jobs that were not seen before; lease those that may go now, park the others in their lanes."""

    def lease_due(self, most: int) -> Released:
        """At most `most` of the waiting jobs whose slots have come or are near, each with its intent on record."""

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        """A fresh slot and intent for a job in hand, or the job back in its lane if no slot comes at once.

        `lapsed`: the slot went by unused. Where that happens often, the account's slots are made wider.

        Raises LeaseLost when the lease is not the newest; then nothing was changed.
        """

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """Write each decision, in one step of its own. An answered probe that ends also ends its account's hold.

        A ref is taken from any lease of a job that has not ended: that phone rang, whoever dials by now.
        After StoreUnavailable any of them may be on record, and all may be given again.
        """

    def reject(
        self, job_id: str, account_name: str, account: Account | None, event: Event, content: str
    ) -> Seen | None:
        """Record a job that is not allowed as ended, unless its id was seen before; None where it was recorded.

        Where `account` is None, as no worker knows it, the id stays free: what is remembered is that the event was
        told, for some minutes, of the newest such jobs.

        `content`: what the job says, see `worker.core.repeats`.
        """

    def keep(self, leases: Sequence[Lease]) -> None:
        """Have `leases` last as long again, from now, as far as they are still their holder's."""

    def reclaim(self, most: int) -> list[Lease]:
        """Leases on waiting jobs that expired (EXPIRED) and on jobs whose worker was lost (LOST).

        A lost intent counts as sent and perhaps rung in the lease's tally. That is a supposition: the lost worker may
        still `record` or `renew` until the job is dialled again or has ended; then the judge's lease is lost.
        """


class Waits(Protocol):
    """How a call waits, where many calls may share a thread."""

    def sleep(self, seconds: float) -> None:
        """Return no sooner than that."""

    def aside(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, which may keep its thread waiting."""


class Gate(Protocol):
    """What a request passes on its way out."""

    def connecting(self) -> None:
        """The request waits for the network now, not for this machine. Does not raise."""

    def opens(self) -> float | None:
        """Return when the request may leave: the moment of the monotonic clock after which it must not begin any more,
        or None. What it raises reaches the provider's caller as it is, and then nothing is sent.
        """


class Provider(Protocol):
    """The telephone verification API."""

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        """Ask for one call; the provider's ref. Raises CallError.

        `gate.connecting` is called before a connection is made, `gate.opens` once, when it stands and before the
        request's first byte. Raises SlotLapsed, nothing sent, when the moment that the gate gave has passed, or when
        the connection was lost behind the gate and making it anew took too long.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """A message of which not all is at hand: its size in bytes, and its SHA-256 in hex where that is known."""

    size: int
    sha256: str = ""


class DeadLetters(Protocol):
    """Where messages lie that no event can answer."""

    def bury(
        self,
        reason: str,
        source: Source,
        content: Mapping[str, Any] | bytes,
        whole: Whole | None = None,
        job_id: str | None = None,
    ) -> None:
        """Keep `content` with its reason, PIN and secrets redacted. Raises StoreUnavailable.

        `whole` tells of the message where `content` is only the beginning of it, or nothing; `job_id` is the id that
        holds if the content names none, without which the job could not be sent again as the same one.
        """


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

    def repeated(self, account: str, job_id: str, seen: Seen) -> None: ...

    def parked(self, job: Job, reason: Reason, until_us: int) -> None: ...

    def leased(self, lease: Lease) -> None: ...

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None: ...

    def held(self, job: Job, error: CallError) -> None: ...

    def lease_lost(self, job: Job) -> None: ...

    def refused(self, job: Job, error: CallError) -> None: ...

    def finished(self, job_id: str, account: str, status: Status, code: str, seconds: float) -> None: ...
