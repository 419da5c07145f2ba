"""Tells /readyz why no job can be processed at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import redis
from redis.exceptions import RedisError

from worker.errors import BrokerUnavailable
from worker.network.causes import because
from worker.privacy.redaction import redactor


class Threads(Protocol):
    """The state of this process' threads; see `worker.engine.watchdog.Watchdog`."""

    def troubles(self) -> Sequence[str]: ...

    def blocking_keys(self) -> Sequence[str]: ...


class Readiness:
    """Asks the threads, the store and the broker. Thread-safe.

    `refusal` says why no event can be published to the results queue. `ask_broker` raises BrokerUnavailable.
    """

    def __init__(
        self,
        threads: Threads,
        refusal: Callable[[], str | None],
        store: redis.Redis,
        ask_broker: Callable[[], object],
    ) -> None:
        self._threads, self._refusal, self._store, self._ask_broker = threads, refusal, store, ask_broker

    def problems(self) -> list[str]:
        """Return a line for each part that fails, with the cause where one is known."""
        problems = list(self._threads.troubles())
        if refusal := self._refusal():
            problems.append(
                f"nothing is dialled, because events cannot be published: {redactor.text(refusal)}"
            )
        try:
            self._store.ping()
        except (RedisError, OSError) as error:
            problems.append(f"Redis cannot be used{because(error)}")
        try:
            self._ask_broker()
        except BrokerUnavailable as error:
            problems.append(f"the broker cannot be used{because(error)}")
        wrong = self._threads.blocking_keys()
        return [*problems, *(f"the key {key} has a wrong type" for key in wrong)]
