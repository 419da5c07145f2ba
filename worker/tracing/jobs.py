"""The spans of a job, of its wait and of its calls. All of them, at whatever worker, belong to one trace.

A job passes through several workers, and none of them has its span from the beginning to the end. So the ids of this
span are computed: every worker gets the same ones from the job's name and the producer's context. The worker that ends
the job makes the span itself, from acceptance to end.

Known weakness: a job without a context of its producer whose id is used again after `LEDGER_RETENTION` has the same
trace.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from worker.broker.queues import CALLS
from worker.core.events import Event, Failure
from worker.core.jobs import Job
from worker.core.records import Lease
from worker.core.trace_context import Origin
from worker.errors import CallError
from worker.tracing import context
from worker.tracing.spans import Attributes, fail, of_job, of_message, of_request

REMEMBERED = 8192
"""For how many jobs the context is kept at hand: computing it takes as long as making a span."""


class JobIds(RandomIdGenerator):
    """Makes random ids, or gives those that were set. Starting a span does not give way to another greenlet."""

    def __init__(self) -> None:
        self._set = threading.local()

    @contextmanager
    def set(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Give these ids to the span that is started in the `with` block."""
        self._set.ids = trace_id, span_id
        try:
            yield
        finally:
            self._set.ids = None

    def generate_trace_id(self) -> int:
        ids = getattr(self._set, "ids", None)
        return ids[0] if ids else super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return getattr(self._set, "ids", None) is None

    def generate_span_id(self) -> int:
        ids = getattr(self._set, "ids", None)
        return ids[1] if ids else super().generate_span_id()


class JobSpans:
    """The port `Traces`, and the observer of the provider's client. Thread-safe."""

    def __init__(self, tracer: Tracer, ids: JobIds, system: str, *, linked: bool, call_url: str) -> None:
        """`linked`: each job has a trace of its own, with a link to its producer's, instead of a place in that one.

        `call_url` is the address to which calls go; `system` is the broker's name in the semantic conventions.
        """
        self._tracer, self._ids, self._system, self._linked = tracer, ids, system, linked
        self._of = lru_cache(REMEMBERED)(lambda origin: self._job_span(origin).get_span_context())
        self._call, self._call_name = of_request(call_url), f"POST {urlsplit(call_url).path}"

    def context(self, origin: Origin) -> str:
        return context.packed(self._of(origin))

    def waited(self, lease: Lease, seconds: float) -> None:
        starts = _ns(lease.accepted_at_us)
        origin = lease.job.origin
        span = self._tracer.start_span(
            "wait calls", context.below(self._of(origin)), attributes=_names(origin), start_time=starts
        )
        if lease.waited_for is not None:
            span.set_attribute("callworker.wait.reason", lease.waited_for.value)
        span.end(starts + int(seconds * 1e9))

    def called(self, job: Job, seconds: float, status: int | None, error: CallError | None) -> None:
        """An attempt at a call has just ended: how long it took, the answer's status, and why there is no ref."""
        ends = time.time_ns()
        origin = job.origin
        span = self._tracer.start_span(
            self._call_name,
            context.below(self._of(origin)),
            SpanKind.CLIENT,
            _names(origin) | self._call,
            start_time=ends - int(seconds * 1e9),
        )
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if error is not None:
            fail(span, error.cause.value if error.cause else error.code, error.message)
        span.end(ends)

    def ended(
        self,
        origin: Origin,
        event: Event,
        failure: Failure | None,
        accepted_at_us: int,
        finished_at_us: int,
    ) -> None:
        span = self._job_span(origin, _ns(accepted_at_us))
        span.set_attributes({"callworker.status": event.status.value, "callworker.event.id": event.id})
        if failure is not None:
            fail(span, failure.code, failure.message)
        span.end(_ns(finished_at_us))

    def _job_span(self, origin: Origin, starts: int | None = None) -> Span:
        """Start the span of a job. It is exported only if it is ended."""
        producer = context.read(origin.traceparent, origin.tracestate)
        joined = producer.is_valid and not self._linked
        named = "\n".join((origin.account, origin.job_id, origin.traceparent or ""))
        digest = hashlib.sha256(named.encode()).digest()
        with self._ids.set(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])):
            return self._tracer.start_span(
                f"process {CALLS.name}",
                context.below(producer) if joined else Context(),
                SpanKind.CONSUMER,
                _names(origin) | of_message(self._system, "process", CALLS.name, origin.job_id),
                [Link(producer)] if producer.is_valid and not joined else [],
                starts,
            )


def _names(origin: Origin) -> Attributes:
    return of_job(origin.account, origin.job_id)


def _ns(unix_us: int) -> int:
    return unix_us * 1000
