"""The call of one leased job: its gate, its attempts, the pauses between them, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from worker.core.accounts import Account
from worker.core.events import Failure, Status
from worker.core.ports import Provider, Waits
from worker.core.records import Lease, Parked, Reason
from worker.core.retry import Backoff, backoff_seconds, repeated
from worker.core.settling import Settler
from worker.errors import (
    AccountProblem,
    CallError,
    ConfigurationError,
    LeaseLost,
    Redial,
    Refused,
    SlotLapsed,
)

SHORT_WAIT_SECONDS = 0.1
"""The longest pause for which a call sleeps. A longer one puts the job back into its lane."""

KEYLESS_WAIT_SECONDS = 5.0
"""How long a job waits in its lane if this worker has no API key for its account."""


class _InLane(Exception):
    """The job is back in its lane."""


class _Expired(Exception):
    """`expires_at` passed before the first byte."""


class Call:
    """A job in hand: its newest lease, and the tally of its attempts. It is also the `Gate` of its own requests.

    `request_seconds` is the provider client's deadline for one request: none begins that could outlast the lease.
    `started` is called when a request waits for the network or for its slot. `wait` returns how long to wait between
    two attempts. All times are on the settler's clock.
    """

    def __init__(
        self,
        lease: Lease,
        account: Account,
        *,
        provider: Provider,
        settler: Settler,
        waits: Waits,
        request_seconds: float,
        started: Callable[[], None] = lambda: None,
        wait: Backoff = backoff_seconds,
    ) -> None:
        self._lease, self._account, self._tally = lease, account, lease.tally
        self._provider, self._settler, self._request_seconds = provider, settler, request_seconds
        self._waits, self._clock, self._wait = waits, settler.clock, wait
        self.connecting = started
        self._unsent: Lease | None = lease if lease.tally.sent == 0 else None
        """The lease that the job came with, until its first request leaves."""
        self._last_error: CallError

    def run(self) -> None:
        """Dial until the job has ended or is back in its lane. Raises ConfigurationError if the API key is gone."""
        settler, account = self._settler, self._account
        try:
            ref = repeated(self._attempt, account.budget, lambda: self._tally, self._pause, wait=self._wait)
            settler.settle(self._lease, account, self._tally, Status.PLACED, ref)
        except _InLane:
            return
        except _Expired:
            settler.settle_expired(self._lease, account, self._tally)
        except LeaseLost:
            settler.watch.lease_lost(self._lease.job)
        except AccountProblem as error:
            settler.watch.held(self._lease.job, error)
            settler.hold(self._lease, self._tally, error.code)
        except ConfigurationError:
            # The key's file may be gone for this worker only: another one may still dial.
            detail = "this worker has no API key for the account"
            settler.park(self._lease, self._tally, Reason.HELD, KEYLESS_WAIT_SECONDS, detail)
            raise
        except CallError as error:
            settler.watch.refused(self._lease.job, error)
            settler.settle(self._lease, account, self._tally, *self._failure(error))

    def opens(self) -> float:
        """Wait for the slot, and check that the request may still be sent. Called between connection and first byte.

        See `Gate`. Raises SlotLapsed if the slot has passed or the lease ends too soon.
        """
        slot = self._lease.slot
        wait_seconds = slot.opens - self._clock()
        if wait_seconds > 0:
            self.connecting()
            self._waits.sleep(wait_seconds)
        now = self._clock()
        if self._lease.now_us(now) >= self._lease.expires_at_us:
            raise _Expired
        if now > slot.closes or now + self._request_seconds > slot.lease_ends:
            raise SlotLapsed
        self.connecting()
        self._leaves(now)
        return slot.closes

    def _leaves(self, now: float) -> None:
        """Report the first request of the job."""
        came, self._unsent = self._unsent, None
        if came is not None:
            seconds = max((self._lease.now_us(now) - came.accepted_at_us) / 1_000_000, 0.0)
            self._settler.watch.first_request(came, seconds)
            self._settler.traces.waited(came, seconds)

    def _failure(self, error: CallError) -> tuple[Status, Failure]:
        """Return how the job ends after `error`: unknown if a request may have rung, unless the provider refused it."""
        if isinstance(error, Refused) or not self._tally.perhaps_rung:
            return Status.FAILED, Failure(error.code, error.message)
        reason = (
            error.message
            if isinstance(error, Redial)
            else f"an earlier request may have rung; {error.message}"
        )
        return Status.UNKNOWN, Failure("OUTCOME_UNKNOWN", reason)

    def _attempt(self) -> str:
        """Make one request and return the ref. If its slot lapses before the first byte, take another slot first."""
        while True:
            try:
                ref = self._provider.place_call(self._lease.job, self._account.api_key(), self)
            except SlotLapsed:
                self._renew(lapsed=True)
            except CallError as error:
                self._last_error, self._tally = error, self._tally.after(error)
                raise
            else:
                self._tally = replace(self._tally, sent=self._tally.sent + 1)
                return ref

    def _pause(self, wait_seconds: float) -> None:
        error = self._last_error
        self._settler.watch.retrying(self._lease.job, error, self._tally, wait_seconds)
        if wait_seconds > SHORT_WAIT_SECONDS:
            self._settler.park(self._lease, self._tally, Reason.BACKOFF, wait_seconds, error.message)
            raise _InLane
        self._waits.sleep(wait_seconds)
        self._renew()

    def _renew(self, *, lapsed: bool = False) -> None:
        match self._settler.renew(self._lease, self._account, self._tally, self._waits, lapsed=lapsed):
            case Parked():
                raise _InLane
            case lease:
                self._lease = lease
