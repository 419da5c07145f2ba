"""What this process last heard from the servers, as metrics. A scrape waits for nothing here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from prometheus_client.core import Metric

from worker.core.figures import BrokerFacts, StoreFacts
from worker.core.records import Pause
from worker.telemetry.shared_metrics import SharedMetric, filled


class ServerState:
    """A Prometheus collector. What is not known has no series."""

    def __init__(
        self,
        store: Callable[[], StoreFacts | None],
        broker: Callable[[], BrokerFacts | None] = lambda: None,
        pauses: Callable[[], Collection[Pause]] = frozenset,
    ) -> None:
        """`pauses` says why nothing is dialled for the sake of events."""
        self._store, self._broker, self._pauses = store, broker, pauses

    def describe(self) -> list[Metric]:
        """Return nothing: there may be no facts yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        facts = self._store()
        if facts is not None:
            yield _one("store_writable", facts.problem is None)
            yield _one("redis_memory_used_bytes", facts.memory_used_bytes)
            yield _one("redis_memory_limit_bytes", facts.memory_limit_bytes)
            yield _one("clock_offset_seconds", facts.clock_ahead_seconds)
        pauses = {*self._pauses(), *([Pause.STORE] if facts and facts.problem else [])}
        yield filled("dialling_paused", [((cause,), float(cause in pauses)) for cause in Pause])
        told = self._broker()
        if told is not None:
            yield _one("broker_blocked", told.blocked)


def _one(name: str, value: float | None) -> SharedMetric:
    return filled(name, [] if value is None else [((), float(value))])
