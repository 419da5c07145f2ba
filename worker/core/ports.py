"""The ports: what the use case needs from outside. Adapters implement them; tests use doubles of the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from worker.core.accounts import Account
from worker.core.cancels import Answer, Cancel, Stays, Waiting, Withdrawal
from worker.core.events import Event, Failure
from worker.core.jobs import Job
from worker.core.notices import Notice
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Known,
    Later,
    Lease,
    Parked,
    Reason,
    Recorded,
    Released,
    Source,
    Standing,
)
from worker.core.retry import Tally
from worker.core.trace_context import Origin
from worker.errors import CallError, StoreUnavailable

T = TypeVar("T")


class Ledger(Protocol):
    """The record of every job. Each method is atomic per job and may raise StoreUnavailable.

    A store may have parts, on several servers. If some of them cannot be reached, a method for several jobs does what
    the others allow and says Later of the rest; a method that looks for work returns that of the others. Only if no
    part can be reached do they raise StoreUnavailable. A method for one job raises it if the job's part is away.

    If a key in the store has another type than it should, a method that needs it raises WrongKey; a method for several
    jobs leaves out those that need the key.
    """

    def installation(self) -> str:
        """Return the random id of this state, of which ids of events are made. The first worker makes it, once.

        Asks the store only the first time; that is over once this ledger has given a lease.
        """

    def announce(self, file: str, accounts: Mapping[str, Account]) -> Standing:
        """Report which accounts file this worker has; `file` is a digest of its content. Repeat it every few seconds.

        From now on the limits of `accounts` that come with jobs count, unless a newer file has given others. If this
        worker reported another file before, and that was the newest, this one is the newest now.
        """

    def declare(self, accounts: Iterable[Account]) -> None:
        """Set the limits of `accounts`, also for jobs that wait already. Only for a worker with the newest file."""

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """Record jobs whose ids were not used before. Lease those that may go now, put the others into their lanes.

        Ends those that were canceled before they came, and publishes a notice of each conflict. Returns an admission
        for each application, in order.
        """

    def lease_due(self, most: int) -> Released:
        """Lease at most `most` of the waiting jobs whose slots have come or are near. Their intents are on record."""

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        """Get a new slot and intent for a job in hand; or put it back into its lane if no slot comes at once.

        `lapsed` says that the last slot passed unused; if that happens often, the account's slots become wider. Raises
        LeaseLost if the lease may no longer decide; then nothing was changed.
        """

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """Write decisions, each in one step of its own. Returns what became of each, in order.

        A probe that was answered also ends its account's hold. A ref is accepted from any lease of a job that has not
        ended, because the phone rang, even if another worker is dialling by now. After StoreUnavailable any of the
        decisions may be on record, and all may be given again.
        """

    def is_apart(self, error: StoreUnavailable) -> bool:
        """Tell whether only a part of the store cannot be reached. What needs another part goes on then."""

    def reject(
        self,
        job_id: str,
        account_name: str,
        account: Account | None,
        event: Event,
        content: str,
        trace: str = "",
    ) -> Known | None:
        """Record a job that is not allowed as ended, unless its id was used before. Returns None if it was recorded.

        `content` is what the job says, see `worker.core.repeats`; `trace` is as in `Ending`. If the account does
        not exist, `account` is None and the id stays free; only that the event was written is remembered, for some
        minutes and for the newest such jobs.
        """

    def cancel(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting | Later]:
        """Note each cancel whose job has not come, and end each job of a withdrawal, if it waits as it was found.

        Otherwise nothing is changed. Returns for each, in order, what became of it: Waiting if the job waits now, in
        this or another way.
        """

    def tell(self, notices: Sequence[Notice]) -> list[Later | None]:
        """Put events that end no job on their way to the results queue. Returns Later for those to give again."""

    def extend(self, leases: Sequence[Lease]) -> None:
        """Extend `leases`: each lasts its full time again, from now. Leases that were lost are left as they are.

        So are those that cannot be reached.
        """

    def reclaim(self, most: int) -> list[Lease]:
        """Lease waiting jobs that expired (EXPIRED) and jobs whose worker was lost (LOST), at most `most` of each.

        In the tally, a lost intent counts as sent and as perhaps rung. That is a supposition: until the job is dialled
        again or has ended, the lost worker may still `record` or `renew`, and then the lease given here is lost.
        """


class Waits(Protocol):
    """Waits on behalf of a call. Many calls may share a thread, so no wait may block it."""

    def sleep(self, seconds: float) -> None:
        """Return no sooner than that."""

    def aside(self, work: Callable[[], T]) -> T:
        """Run `work`, which may block its thread; return or raise what it does."""


class Gate(Protocol):
    """Lets a request out within its slot. `worker.core.calling.Call` is the gate of its own requests."""

    def connecting(self) -> None:
        """Take note that the request now waits for the network, not for this machine. Does not raise."""

    def opens(self) -> float | None:
        """Wait until the request may leave. Returns the moment after which it must not begin (monotonic s), or None.

        What it raises reaches the caller of the provider unchanged, and then nothing is sent.
        """


class Provider(Protocol):
    """The telephone verification API."""

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        """Ask for one call; return the provider's ref. Raises CallError.

        Calls `gate.connecting` before it makes a connection, and `gate.opens` once, when it is connected and before the
        first byte of the request. Raises SlotLapsed, with nothing sent, if the moment that the gate gave has passed, or
        if the connection was lost at the gate and connecting again took too long.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """Describes a whole message of which only a part was kept: size in bytes, and SHA-256 in hex if it is known."""

    size: int
    sha256: str = ""


class DeadLetters(Protocol):
    """Keeps the messages that no event can answer."""

    def bury(
        self,
        reason: str,
        source: Source,
        content: Mapping[str, Any] | bytes,
        whole: Whole | None = None,
        job_id: str | None = None,
    ) -> None:
        """Keep `content` with the reason; PIN and secrets are redacted. Raises StoreUnavailable.

        `whole` describes the message if `content` is only its beginning, or empty. `job_id` is the id under which the
        job came, if its content contains none; with it the job can be sent again as the same job.
        """


class Suspects(Protocol):
    """Remembers which messages workers had in hand, so that one that crashes workers is found."""

    def mark(self, raw: bytes) -> int:
        """Note that this process is about to handle `raw`.

        Returns how many processes have noted that since it was last cleared. Raises StoreUnavailable.
        """

    def clear(self, raw: bytes) -> None:
        """Forget the marks: `raw` was handled without a crash. Raises StoreUnavailable."""


class Traces(Protocol):
    """Makes the spans of jobs. Must not raise, and must not wait for anything. Any number of threads may call it."""

    def context(self, origin: Origin) -> str:
        """Return the job's own trace context, in which its record keeps it: what comes after its end belongs there.

        Empty if jobs are not traced.
        """

    def waited(self, lease: Lease, seconds: float) -> None:
        """The first request of a job leaves, `seconds` after its acceptance. `lease` is the one that it came with."""

    def ended(
        self, origin: Origin, event: Event, failure: Failure | None, accepted_at_us: int, finished_at_us: int
    ) -> None:
        """A job has ended with `event`; times are Unix µs. `failure` is None if the call was placed."""


class Watch(Protocol):
    """Is told each fact once, for logs and metrics. Must not raise."""

    def accepted(self, account: str, job_id: str, source: Source) -> None:
        """A job is on record."""

    def repeated(self, account: str, job_id: str, known: Known) -> None:
        """A job was dropped because its id was used before; `account` is the one that it names."""

    def cancel_noted(self, job_id: str) -> None:
        """A cancel came before its job."""

    def not_canceled(self, job_id: str, stays: Stays) -> None:
        """A cancel changed nothing."""

    def parked(self, job: Job, reason: Reason, until_us: int) -> None:
        """A job waits in its lane, until `until_us` as far as is known (Unix µs)."""

    def leased(self, lease: Lease) -> None:
        """A job may be dialled."""

    def first_request(self, lease: Lease, seconds: float) -> None:
        """The first request of a job leaves, `seconds` after its acceptance. `lease` is the one that it came with."""

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None:
        """An attempt failed; a further one follows after `wait_seconds`."""

    def held(self, job: Job, error: CallError) -> None:
        """The provider's answer to a job holds the job's account."""

    def lease_lost(self, job: Job) -> None:
        """Another worker has the job now; nothing of it was changed."""

    def refused(self, job: Job, error: CallError) -> None:
        """An error ended the job; `finished` follows."""

    def finished(self, job_id: str, account: str, event: Event, code: str, seconds: float) -> None:
        """A job has ended with `event`, `seconds` after its acceptance.

        `code` is its failure's, empty if the call was placed.
        """
