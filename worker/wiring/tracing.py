"""Makes what traces jobs, and puts it around the parts whose work it sees."""

from __future__ import annotations

import redis

from worker import __version__
from worker.broker.address import broker_url
from worker.broker.connection import over_amqp
from worker.core.ports import Traces
from worker.core.untraced import UNTRACED
from worker.delivery.directory import Directory
from worker.delivery.ports import DeliveryStore, EventSink
from worker.engine.couriers import Deliver
from worker.provider.observers import Attempted, nobody
from worker.settings import Settings
from worker.state.job_traces import JobTraces


class Tracing:
    """Traces nothing, and leaves every part as it is."""

    traces: Traces = UNTRACED
    called: Attempted = staticmethod(nobody)

    def results(self, sink: EventSink) -> EventSink:
        """Return `sink`, with a span of each event."""
        return sink

    def deliveries(self, store: DeliveryStore) -> DeliveryStore:
        """Return `store`, with the trace context of each delivery."""
        return store

    def attempts(self, deliver: Deliver, directory: Directory) -> Deliver:
        """Return `deliver`, with a span of each attempt."""
        return deliver

    def close(self) -> None:
        """Send the last spans. Takes some seconds at the most."""


class OpenTelemetry(Tracing):
    """Traces with OpenTelemetry, which is imported here and not by a worker without tracing."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """Raises ConfigurationError for a variable OTEL_… that cannot be used."""
        from worker.tracing.export import Export
        from worker.tracing.jobs import JobIds, JobSpans

        ids = JobIds()
        self._export = Export(ids)
        self._tracer = self._export.provider.get_tracer("callworker", __version__)
        self._contexts = JobTraces(client).of
        self._system = "rabbitmq" if over_amqp(broker_url(settings)) else "redis"
        spans = JobSpans(
            self._tracer,
            ids,
            self._system,
            linked=settings.tracing == "links",
            call_url=f"{settings.proxstop_url}/telephonecall.{settings.proxstop_format}",
        )
        self.traces, self.called = spans, spans.called

    def results(self, sink: EventSink) -> EventSink:
        from worker.tracing.results import TracedResults

        return TracedResults(sink, self._tracer, self._contexts, self._system)

    def deliveries(self, store: DeliveryStore) -> DeliveryStore:
        from worker.tracing.deliveries import TracedDeliveries

        return TracedDeliveries(store, self._contexts)

    def attempts(self, deliver: Deliver, directory: Directory) -> Deliver:
        from worker.tracing.deliveries import TracedAttempts

        return TracedAttempts(deliver, self._tracer, directory.find)

    def close(self) -> None:
        self._export.close()
