"""The state that all workers share, as metrics read from the store and the broker when Prometheus asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import Metric

from worker.core.figures import AccountCount, EndpointCount
from worker.telemetry.account_state import of_accounts
from worker.telemetry.endpoint_state import of_endpoints
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import Patience, Question, reading
from worker.telemetry.shared_metrics import filled

KEPT_SECONDS = 1.0


class Stored(NamedTuple):
    """What the store tells: also the events that the results queue has not confirmed, and the dead letters.

    What a part of the store has that is away is missing; `away` is how many shards that concerns.
    """

    accounts: Sequence[AccountCount]
    endpoints: Sequence[EndpointCount]
    unpublished: int
    dead: int | None
    away: int = 0


class SharedState:
    """A Prometheus collector. Register it in the registry of `metrics`.

    `read` asks the store, `depths` the broker for the messages by queue. `ttls` returns the `ttl` of each account in
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
        ttls: Callable[[], Mapping[str, float]] = dict,
        clock: Callable[[], float] = time.monotonic,
        serves: Callable[[], bool] = lambda: True,
    ) -> None:
        self._metrics, self._ttls, self._serves = metrics, ttls, serves
        self._store = Question(reading("store", read), KEPT_SECONDS, clock)
        self._touch = Question(reading("store", touch), KEPT_SECONDS, clock)
        self._broker = Question(reading("broker", depths), KEPT_SECONDS, clock)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        patience, serves = Patience(), self._serves()
        store = self._store.begin() if serves else None
        touch, broker = None if store else self._touch.begin(), self._broker.begin()
        stored = patience.known(store) if store else None
        touched, depths = patience.known(touch) if touch else None, patience.known(broker)
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
        self,
        counts: Sequence[AccountCount],
        endpoints: Sequence[EndpointCount],
        unpublished: int,
        dead: int | None,
        away: int,
    ) -> Iterator[Metric]:
        yield from of_accounts(self._metrics, counts, self._ttls())
        yield from of_endpoints(self._metrics, endpoints)
        yield filled("results_unpublished", [((), float(unpublished))])
        yield filled("dead_letters", [] if dead is None else [((), float(dead))])
        yield filled("store_shards_away", [((), float(away))])
