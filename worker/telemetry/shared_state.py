"""The state that all workers share, as metrics read from the store and the broker when Prometheus asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import structlog
from prometheus_client.core import Metric

from worker.core.records import AccountCount, EndpointCount
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.telemetry.account_state import of_accounts
from worker.telemetry.endpoint_state import of_endpoints
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import Patience, Question
from worker.telemetry.shared_metrics import filled

KEPT_SECONDS = 1.0

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class Stored(NamedTuple):
    """What the store tells: also the events that the results queue has not confirmed, and the dead letters."""

    accounts: Sequence[AccountCount]
    endpoints: Sequence[EndpointCount]
    unpublished: int
    dead: int


class SharedState:
    """A Prometheus collector. Register it in the registry of `metrics`.

    `read` asks the store, `depths` the broker for the messages by queue. `ttls` has the `ttl` of each account in
    seconds. Where `serves` says that another worker serves what is the same at each, this one only asks both servers
    whether they answer, the store by `touch`.
    `depths` may raise BrokerUnavailable, the others StoreUnavailable. The series that depend on it are then missing
    from the scrape, and `callworker_store_up` or `callworker_broker_up` is 0. Answers and failures are kept for a
    second, however many scrapes there are. A scrape waits for both together for at most 1.5 s; a reader that takes
    longer goes on, and counts as failed until it ends.
    """

    def __init__(
        self,
        metrics: Metrics,
        read: Callable[[], Stored],
        touch: Callable[[], object],
        depths: Callable[[], Mapping[str, int]],
        *,
        ttls: Mapping[str, float] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        serves: Callable[[], bool] = lambda: True,
    ) -> None:
        self._metrics, self._ttls, self._serves = metrics, ttls, serves
        self._store = Question(_reading("store", read), KEPT_SECONDS, clock)
        self._touch = Question(_reading("store", touch), KEPT_SECONDS, clock)
        self._broker = Question(_reading("broker", depths), KEPT_SECONDS, clock)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        patience, serves = Patience(), self._serves()
        store = self._store.begin() if serves else None
        touch, broker = None if store else self._touch.begin(), self._broker.begin()
        stored = _in_time(patience, store) if store else None
        touched, depths = _in_time(patience, touch) if touch else None, _in_time(patience, broker)
        up = stored is not None or touched is not None
        yield filled("store_up", [((), float(up))])
        yield filled("broker_up", [((), float(depths is not None))])
        if serves and self._serves():
            yield from self._of_all(stored, depths)

    def _of_all(self, stored: Stored | None, depths: Mapping[str, int] | None) -> Iterator[Metric]:
        if stored is not None:
            yield from self._of_store(*stored)
        if depths is not None:
            yield filled("queue_depth", [((queue,), float(depth)) for queue, depth in depths.items()])

    def _of_store(
        self, counts: Sequence[AccountCount], endpoints: Sequence[EndpointCount], unpublished: int, dead: int
    ) -> Iterator[Metric]:
        yield from of_accounts(self._metrics, counts, self._ttls)
        yield from of_endpoints(self._metrics, endpoints)
        yield filled("results_unpublished", [((), float(unpublished))])
        yield filled("dead_letters", [((), float(dead))])


def _in_time(patience: Patience, answer: Future[Answer | None]) -> Answer | None:
    try:
        return patience.result(answer)
    except TimeoutError:
        return None


def _reading(name: str, read: Callable[[], Answer]) -> Callable[[], Answer | None]:
    """Return `read` with None for a failure: a scrape that fails altogether would hide all other metrics too."""

    def ask() -> Answer | None:
        try:
            return read()
        except (StoreUnavailable, BrokerUnavailable):
            return None
        except Exception:
            log.exception("metrics.read_failed", source=name)
            return None

    return ask
