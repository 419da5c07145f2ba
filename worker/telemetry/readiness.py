"""Tells /readyz why no job can be processed at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import RedisError

from worker.errors import BrokerUnavailable
from worker.network.causes import because
from worker.network.remedies import remedy_of
from worker.privacy.redaction import redactor
from worker.telemetry.questions import Patience, Question


class Threads(Protocol):
    """The state of this process' threads; see `worker.engine.watchdog.Watchdog`."""

    def troubles(self) -> Sequence[str]: ...

    def blocking_keys(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Server:
    """A server that jobs need. `name` is as people call it, `variable` the setting that has its address.

    `ask` raises RedisError, BrokerUnavailable or OSError. `problem` says why the server took no write lately.
    """

    name: str
    variable: str
    ask: Callable[[], object]
    problem: Callable[[], Exception | None]


class Readiness:
    """Asks the threads and the servers. Thread-safe.

    `paused` says why nothing is dialled for the sake of events, and `begun` whether the store has heard of this worker.
    """

    def __init__(
        self,
        threads: Threads,
        paused: Callable[[], str | None],
        servers: Sequence[Server],
        begun: Callable[[], bool] = lambda: True,
    ) -> None:
        self._threads, self._paused, self._begun = threads, paused, begun
        self._servers = [(server, Question(server.ask)) for server in servers]

    def problems(self) -> list[str]:
        """Return a line for each part that fails, with cause and remedy where they are known."""
        patience = Patience()
        answers = [(server, question.begin()) for server, question in self._servers]
        problems = list(self._threads.troubles())
        if not self._begun():
            problems.append("this worker has not reported to Redis yet")
        if reason := self._paused():
            problems.append(f"nothing is dialled, because {redactor.text(reason)}")
        for server, answer in answers:
            if error := _failure(patience, answer) or server.problem():
                remedy = remedy_of(error, server.variable)
                problems.append(f"{server.name} cannot be used{because(error)}; {remedy}")
        wrong = self._threads.blocking_keys()
        return [*problems, *(f"the key {key} has a wrong type" for key in wrong)]


def _failure(patience: Patience, answer: Future[object]) -> Exception | None:
    try:
        patience.result(answer)
    except (RedisError, BrokerUnavailable, OSError) as error:
        return error
    return None
