"""A collector of spans: a server that takes OTLP over HTTP, as the real ones do, and keeps what came."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.processes import BACKLOG


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


class Collector:
    """Takes spans at `url`/v1/traces and answers with `status`. A context manager."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.spans, self.raw = status, list[Taken](), list[bytes]()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, job_id: str) -> list[Taken]:
        """The spans of one job, oldest first."""
        found = [span for span in list(self.spans) if span.attributes.get("callworker.job.id") == job_id]
        return sorted(found, key=lambda span: span.starts)

    def take(self, raw: bytes) -> None:
        self.raw.append(raw)
        for group in ExportTraceServiceRequest.FromString(raw).resource_spans:
            resource = _values(group.resource.attributes)
            self.spans += [_taken(span, resource) for scope in group.scope_spans for span in scope.spans]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = BACKLOG


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
            if collector.status == 200:
                collector.take(raw)
            body = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler


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
