"""The span of each attempt at a webhook, below its job's span. The receiver gets its context as a header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from opentelemetry.trace import Span, SpanKind, Tracer

from worker.core.endpoints import Endpoint
from worker.delivery.ports import (
    Attempt,
    AttemptResult,
    Conclusion,
    Delivery,
    DeliveryStore,
    Destination,
    Effect,
)
from worker.errors import StoreUnavailable
from worker.tracing import context
from worker.tracing.results import Contexts, known
from worker.tracing.spans import Attributes, fail, of_job, of_request


class TracedDeliveries:
    """A DeliveryStore that adds to each delivery the trace context which its job's record keeps."""

    def __init__(self, store: DeliveryStore, contexts: Contexts) -> None:
        self._store, self._contexts = store, contexts

    @property
    def due_seconds(self) -> float:
        return self._store.due_seconds

    def take(
        self, most: int, unknown: Iterable[Destination] = (), quick: Collection[Destination] = ()
    ) -> list[Delivery]:
        """See DeliveryStore. Takes one round trip more if there is a delivery."""
        deliveries = self._store.take(most, unknown, quick)
        traces = known(self._contexts, [(one.account, one.job_id) for one in deliveries])
        return [replace(one, trace=trace) for one, trace in zip(deliveries, traces, strict=True)]

    def record(self, conclusions: Sequence[Conclusion]) -> Sequence[Effect | StoreUnavailable]:
        return self._store.record(conclusions)


class TracedAttempts:
    """Makes attempts, each with a span if its job is traced. An attempt that was not made has none."""

    def __init__(
        self,
        deliver: Callable[[Delivery], Conclusion],
        tracer: Tracer,
        find: Callable[[Destination], Endpoint | None],
    ) -> None:
        self._deliver, self._tracer, self._find = deliver, tracer, find

    def __call__(self, delivery: Delivery, /) -> Conclusion:
        endpoint, parent = self._find(delivery.destination), context.unpacked(delivery.trace)
        if endpoint is None or not parent.is_valid:
            return self._deliver(delivery)
        span = self._tracer.start_span(
            "POST webhook", context.below(parent), SpanKind.CLIENT, _attributes(endpoint, delivery)
        )
        conclusion = self._deliver(replace(delivery, headers=context.headers(span)))
        if conclusion.attempt is not None:
            _end(span, conclusion.attempt)
        return conclusion


def _attributes(endpoint: Endpoint, delivery: Delivery) -> Attributes:
    named = of_job(delivery.account, delivery.job_id) | of_request(endpoint.url)
    return named | {
        "callworker.endpoint": endpoint.key,
        "callworker.event.id": delivery.event_id,
        "http.request.resend_count": delivery.attempt - 1,
    }


def _end(span: Span, attempt: Attempt) -> None:
    if attempt.status is not None:
        span.set_attribute("http.response.status_code", attempt.status)
    if attempt.result is not AttemptResult.DELIVERED:
        kind = attempt.cause.value if attempt.cause else str(attempt.status or attempt.result.value)
        fail(span, kind, attempt.problem or attempt.rule or attempt.result.value)
    span.end()
