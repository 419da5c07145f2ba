"""A client of the provider as the tests use it: what its gate saw, what it reported, what it raised."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.doubles.gates import OpenGate
from worker.core.jobs import Job
from worker.errors import (
    CallError,
    Retry,
)
from worker.http.oddities import Oddity
from worker.provider import CallResult, Codes, Connections, Observers, ProxStop
from worker.provider.transport import ONE_CONNECTION

KEY = "0123456789abcdef0123456789abcdef"
JOB = Job(id="job-1", account="acme", country="1", phone="2125550199", code="48213")
SHORT, SOON, LONG = 0.3, 4.0, 5.0
"""`SOON` is long after `SHORT`, for a machine that does other things as well."""

CODES = Codes({"INVALID_TELEPHONE": "refused", "INVALID_KEY": "account", "BUSY": "retry"})


class Caller:
    """A client, what its gate saw, and what it reported."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = LONG,
        fmt: str = "xml",
        extended: bool = False,
        connections: Connections = ONE_CONNECTION,
    ) -> None:
        self.observed: list[tuple[str, CallResult]] = []
        self.statuses: list[int | None] = []
        self.oddities: list[set[Oddity]] = []
        self.attempts: list[tuple[float, int | None, CallError | None]] = []
        self.gates = 0
        self.at_gate: Callable[[], float | None] = lambda: None
        self.client = ProxStop(
            url,
            "json" if fmt == "json" else "xml",
            timeout_seconds,
            codes=CODES,
            observers=Observers(
                self._observe,
                lambda _, oddities: self.oddities.append(set(oddities)),
                lambda _, *attempt: self.attempts.append(attempt),
            ),
            extended=extended,
            connections=connections,
        )

    def _observe(self, job: Job, result: CallResult, seconds: float, status: int | None) -> None:
        self.observed.append((job.account, result))
        self.statuses.append(status)

    def gate(self) -> float | None:
        self.gates += 1
        return self.at_gate()

    def call(self, job: Job = JOB) -> str:
        return self.client.place_call(job, KEY, OpenGate(self.gate))

    def fails(self, job: Job = JOB) -> CallError:
        """The error of a call that must not give a ref."""
        with pytest.raises(CallError) as caught:
            self.call(job)
        return caught.value


def was_not_sent(error: CallError, caller: Caller) -> bool:
    """True for "certainly not rung", with nothing on the network and nothing counted."""
    return isinstance(error, Retry) and not error.sent and not caller.observed
