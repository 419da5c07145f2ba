"""Trace contexts as they travel, and as OpenTelemetry has them.

Source: W3C Trace Context. OpenTelemetry's own propagator reads and writes them.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.core.trace_context import TRACEPARENT, TRACESTATE

_w3c = TraceContextTextMapPropagator()


def read(traceparent: str | None, tracestate: str | None) -> SpanContext:
    """Read a context; the result is not valid if there is none."""
    carrier = {TRACEPARENT: traceparent or "", TRACESTATE: tracestate or ""}
    return get_current_span(_w3c.extract(carrier, Context())).get_span_context()


def below(context: SpanContext) -> Context:
    """Return what a new span needs to be a child of `context`.

    It is passed to each span: many calls share a thread, so no context may be kept for a thread.
    """
    return set_span_in_context(NonRecordingSpan(context), Context())


def headers(span: Span) -> dict[str, str]:
    """Return the headers with which the context of `span` travels; none if it is not valid."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, set_span_in_context(span, Context()))
    return carrier


def packed(context: SpanContext) -> str:
    """Write a context: `traceparent`, and after a space `tracestate` if there is one. Empty if it is not valid."""
    return " ".join(headers(NonRecordingSpan(context)).values())


def unpacked(text: str) -> SpanContext:
    """Read what `packed` wrote."""
    traceparent, _, tracestate = text.partition(" ")
    return read(traceparent, tracestate)
