"""Makes what brings events to the results queue, and what stops dialling while it does not take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from worker.broker.address import broker_url
from worker.delivery.ports import OutgoingEvent
from worker.delivery.relay import Relay
from worker.delivery.results import ResultsQueue
from worker.engine.backlog import Backlog
from worker.engine.dialler import Dialler
from worker.settings import Settings
from worker.state.census import Census
from worker.state.outbox import RedisOutbox
from worker.state.refused_results import RefusedResults
from worker.telemetry.watching import Watching
from worker.wiring.store import Store
from worker.wiring.tracing import Tracing


class Results:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        dialler: Dialler,
        watching: Watching,
        tracing: Tracing,
        *,
        wait: Callable[[], bool],
    ) -> None:
        """`wait` tells whether any event waits for the queue."""
        self._settings, self._store, self._dialler = settings, store, dialler
        self._watching, self._tracing, self._wait = watching, tracing, wait

    @cached_property
    def relay(self) -> Relay:
        queue = ResultsQueue(
            broker_url(self._settings),
            self._settings.amqp_queue_type,
            replicas=self._settings.redis_replicas,
        )
        outbox, results = RedisOutbox(self._store.scripts), self._tracing.results(queue)
        return Relay(outbox, results, self._published, waits=self._wait)

    def _published(self, events: Sequence[OutgoingEvent]) -> None:
        self._watching.results_published(events)
        self.backlog.confirmed()

    @cached_property
    def backlog(self) -> Backlog:
        most, census = self._settings.results_backlog, Census(self._store.client)

        def unpublished() -> int:
            return census.unpublished() if self._wait() else 0

        return Backlog(unpublished, most, self.refusals, self._dialler, self._watching)

    @cached_property
    def refusals(self) -> RefusedResults:
        """It knows of a drain too, which is read with it."""
        return RefusedResults(self._store.scripts)
