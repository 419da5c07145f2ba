"""The span of an event that is published on the results queue, below its job's span."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.trace import Span, SpanKind, Tracer

from worker.broker.queues import RESULTS_EXCHANGE
from worker.core.events import tells_of_job
from worker.delivery.ports import EventSink, OutgoingEvent
from worker.errors import BrokerUnavailable, StoreUnavailable, WrongKey
from worker.tracing import context
from worker.tracing.spans import fail, of_job, of_message

JobName = tuple[str, str]
"""The account and the id of a job."""

Contexts = Callable[[Sequence[JobName]], list[str]]
"""Returns the trace context that the record of each job keeps, empty if there is none. Raises StoreUnavailable."""


class TracedResults:
    """An EventSink that makes a span of each event of a job. The span's context goes with the message, as its headers.

    Events of jobs whose records are gone, and of accounts that do not exist, have no span.
    """

    def __init__(self, sink: EventSink, tracer: Tracer, contexts: Contexts, system: str) -> None:
        """`system` is the name of the broker in the semantic conventions."""
        self._sink, self._tracer, self._contexts, self._system = sink, tracer, contexts, system
        self.prepare, self.close = sink.prepare, sink.close

    def publish(self, batch: Sequence[OutgoingEvent]) -> None:
        """See EventSink."""
        spans = self._spans(batch)
        traced = [
            event if span is None else replace(event, headers=context.headers(span))
            for event, span in zip(batch, spans, strict=True)
        ]
        try:
            self._sink.publish(traced)
        except BrokerUnavailable as error:
            _end(spans, error)
            raise
        _end(spans)

    def _spans(self, batch: Sequence[OutgoingEvent]) -> list[Span | None]:
        told = [json.loads(event.body) if tells_of_job(event.type) else None for event in batch]
        jobs = [_job(event) for event in told if event]
        found = dict(zip(jobs, known(self._contexts, jobs), strict=True))
        return [self._span(event, found[_job(event)]) if event else None for event in told]

    def _span(self, event: Mapping[str, Any], trace: str) -> Span | None:
        parent = context.unpacked(trace)
        if not parent.is_valid:
            return None
        account, job_id = _job(event)
        return self._tracer.start_span(
            f"send {RESULTS_EXCHANGE.name}",
            context.below(parent),
            SpanKind.PRODUCER,
            of_job(account, job_id)
            | of_message(self._system, "send", RESULTS_EXCHANGE.name, event["id"])
            | {"callworker.event.type": event["type"]},
        )


def known(contexts: Contexts, jobs: Sequence[JobName]) -> list[str]:
    """Return the contexts; empty ones if the store does not answer, because nothing may wait for tracing."""
    try:
        return contexts(jobs) if jobs else []
    except (StoreUnavailable, WrongKey):
        return [""] * len(jobs)


def _job(event: Mapping[str, Any]) -> JobName:
    return event["data"]["account"], event["data"]["id"]


def _end(spans: Sequence[Span | None], error: BrokerUnavailable | None = None) -> None:
    for span in spans:
        if span is not None:
            if error is not None:
                fail(span, type(error).__name__, str(error))
            span.end()
