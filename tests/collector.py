"""A collector of spans: a server that takes OTLP over HTTP, as the real ones do, and keeps what came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.integration.receiver import Receiver


@dataclass(frozen=True)
class Taken:
    """One span as it came; ids are in hex, times in Unix nanoseconds. `links` are pairs of trace and span id."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    starts: int
    ends: int
    attributes: Mapping[str, Any]
    error: str
    links: tuple[tuple[str, str], ...]
    resource: Mapping[str, Any]

    @property
    def context(self) -> str:
        """What `traceparent` says of this span, but for the flags."""
        return f"00-{self.trace_id}-{self.span_id}"


class Collector(Receiver):
    """Takes spans at `url`/v1/traces and answers with `status`. A context manager."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(lambda _: status)

    @property
    def spans(self) -> list[Taken]:
        """All spans that came, whatever the answer was."""
        return [span for request in self.at("/v1/traces") for span in _spans(request.body)]

    def of(self, job_id: str) -> list[Taken]:
        """The spans of one job, oldest first."""
        found = [span for span in self.spans if span.attributes.get("callworker.job.id") == job_id]
        return sorted(found, key=lambda span: span.starts)


def _spans(body: bytes) -> Iterator[Taken]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(group.resource.attributes)
        yield from (_taken(span, resource) for scope in group.scope_spans for span in scope.spans)


def _taken(span: trace_pb2.Span, resource: Mapping[str, Any]) -> Taken:
    return Taken(
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _values(span.attributes),
        span.status.message if span.status.code == trace_pb2.Status.STATUS_CODE_ERROR else "",
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
