"""Who is told of each request to the provider. None of these functions may raise."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from worker.core.jobs import Job
from worker.errors import CallError
from worker.http.oddities import Oddity


class CallResult(StrEnum):
    """How a request ended that reached the network, or that a fault of this installation stopped before that."""

    PLACED = "placed"
    REFUSED = "refused"
    ACCOUNT = "account"
    NOT_RUNG = "not_rung"
    PERHAPS_RUNG = "perhaps_rung"
    MISCONFIGURED = "misconfigured"


class Done(Protocol):
    """Is called once for each request that `CallResult` describes: its job, the result and the time it took.

    `seconds` counts from the opening of the gate. `status` is the answer's, None without one.
    """

    def __call__(self, job: Job, result: CallResult, seconds: float, status: int | None, /) -> None: ...


class Odd(Protocol):
    """Is called once for each answer that was odd in some way."""

    def __call__(self, job: Job, oddities: Collection[Oddity], /) -> None: ...


class Attempted(Protocol):
    """Is called once for each attempt that has ended, whether or not a byte was sent.

    `seconds` counts from the opening of the gate, or from the beginning of an attempt that did not get there. `status`
    is the answer's, None without one. `error` says why there is no ref; it is None if there is one.
    """

    def __call__(self, job: Job, seconds: float, status: int | None, error: CallError | None, /) -> None: ...


def nobody(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Those who are told. By default nobody is."""

    done: Done = nobody
    odd: Odd = nobody
    attempted: Attempted = nobody


NOBODY = Observers()
