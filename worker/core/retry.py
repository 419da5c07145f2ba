"""How often a job may be tried, and how long apart: tenacity's policies, fed with the job's own history.

A job may travel over several workers and wait in its lane between two attempts, so the count is not tenacity's but
the ledger's `Tally`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from worker.errors import CallError, Misconfigured, Redial, Retry

T = TypeVar("T")

BACKOFF_BASE_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What has been spent on a job: requests `sent`, tries that `not_rung`, requests that `perhaps_rung`."""

    sent: int = 0
    not_rung: int = 0
    perhaps_rung: int = 0

    def after(self, error: CallError) -> Tally:
        """The tally once `error` has ended one more attempt."""
        if isinstance(error, Retry):
            return replace(self, sent=self.sent + error.sent, not_rung=self.not_rung + 1)
        if isinstance(error, Redial):
            return replace(self, sent=self.sent + 1, perhaps_rung=self.perhaps_rung + 1)
        if isinstance(error, Misconfigured):
            return replace(self, sent=self.sent + error.sent)
        return replace(self, sent=self.sent + 1)

    @property
    def tries(self) -> int:
        """Attempts so far that count against a budget."""
        return self.not_rung + self.perhaps_rung


@dataclass(frozen=True, slots=True)
class Budget:
    """The account's word: `attempts` while the phone was certainly not rung, `redials` after it may have been."""

    attempts: int
    redials: int

    def spent(self, tally: Tally) -> bool:
        return tally.not_rung >= self.attempts or tally.perhaps_rung > self.redials


_full_jitter = wait_random_exponential(multiplier=BACKOFF_BASE_SECONDS, max=MAX_BACKOFF_SECONDS)


def backoff_seconds(tries: int, retry_after_seconds: float | None = None) -> float:
    """A random wait from 0 to 0.5, 1, 2, … at most 30 s after `tries` attempts, but no less than the provider's wish.

    Source: "full jitter" in Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(tries, 1)
    return max(_full_jitter(state), retry_after_seconds or 0.0)


def repeated(
    attempt: Callable[[], T], budget: Budget, tally: Callable[[], Tally], pause: Callable[[float], None]
) -> T:
    """What `attempt` returns, repeated by tenacity while it raises Retry or Redial and `budget` covers `tally()`.

    `tally()` must already count the attempt that just failed. `pause(seconds)` waits, or raises to leave the loop.
    The last error is raised as it is. Few attempts fail, and only for these a controller is made.
    """
    try:
        return attempt()
    except (Retry, Redial) as error:
        failed = [error]

    def again() -> T:
        if failed:
            raise failed.pop()
        return attempt()

    def stop(_: RetryCallState) -> bool:
        return budget.spent(tally())

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return backoff_seconds(tally().tries, error.retry_after_seconds if isinstance(error, Retry) else None)

    return Retrying(
        retry=retry_if_exception_type((Retry, Redial)), stop=stop, wait=wait, sleep=pause, reraise=True
    )(again)
