"""Tells /readyz why no job can be processed at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import redis
from redis.exceptions import RedisError

from worker.core.records import StoreFacts
from worker.errors import BrokerUnavailable
from worker.network.causes import because
from worker.network.remedies import remedy_of
from worker.privacy.redaction import redactor
from worker.telemetry.questions import Patience, Question


class Threads(Protocol):
    """The state of this process' threads; see `worker.engine.watchdog.Watchdog`."""

    def troubles(self) -> Sequence[str]: ...

    def blocking_keys(self) -> Sequence[str]: ...


class Readiness:
    """Asks the threads, the store and the broker. Thread-safe.

    `refusal` says why no event can be published to the results queue, `latest` what the store said to the last write.
    `ask_broker` raises BrokerUnavailable.
    """

    def __init__(
        self,
        threads: Threads,
        refusal: Callable[[], str | None],
        store: redis.Redis,
        latest: Callable[[], StoreFacts | None],
        ask_broker: Callable[[], object],
        broker_variable: str = "BROKER_URL",
    ) -> None:
        """`broker_variable`: the setting that has the broker's address."""
        self._threads, self._refusal, self._latest = threads, refusal, latest
        self._broker_variable = broker_variable
        self._store, self._broker = Question[object](store.ping), Question(ask_broker)

    def problems(self) -> list[str]:
        """Return a line for each part that fails, with cause and remedy where they are known."""
        patience = Patience()
        store, broker = self._store.begin(), self._broker.begin()
        problems = list(self._threads.troubles())
        if refusal := self._refusal():
            problems.append(
                f"nothing is dialled, because events cannot be published: {redactor.text(refusal)}"
            )
        if error := _failure(patience, store) or self._refused_write():
            problems.append(f"Redis cannot be used{because(error)}; {remedy_of(error, 'REDIS_URL')}")
        if error := _failure(patience, broker):
            remedy = remedy_of(error, self._broker_variable)
            problems.append(f"the broker cannot be used{because(error)}; {remedy}")
        wrong = self._threads.blocking_keys()
        return [*problems, *(f"the key {key} has a wrong type" for key in wrong)]

    def _refused_write(self) -> Exception | None:
        facts = self._latest()
        return facts.problem if facts else None


def _failure(patience: Patience, answer: Future[object]) -> Exception | None:
    try:
        patience.result(answer)
    except (RedisError, BrokerUnavailable, OSError) as error:
        return error
    return None
