"""What the use case needs from outside. Adapters implement these; tests use honest doubles of the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from worker.core.accounts import Account
from worker.core.events import Event, Status
from worker.core.jobs import Job
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Known,
    Lease,
    Parked,
    Reason,
    Recorded,
    Released,
    Source,
    Standing,
)
from worker.core.retry import Tally
from worker.errors import CallError

T = TypeVar("T")


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
    ) -> Known | None:
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

    def repeated(self, account: str, job_id: str, known: Known) -> None: ...

    def parked(self, job: Job, reason: Reason, until_us: int) -> None: ...

    def leased(self, lease: Lease) -> None: ...

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None: ...

    def held(self, job: Job, error: CallError) -> None: ...

    def lease_lost(self, job: Job) -> None: ...

    def refused(self, job: Job, error: CallError) -> None: ...

    def finished(self, job_id: str, account: str, status: Status, code: str, seconds: float) -> None: ...
