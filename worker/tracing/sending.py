"""The span of a job that a producer sends. Its context goes with the job, in the job's fields.

The spans are made by the provider that the producer's own program has set up. In a program without one there is no
span, and the context that the program is in goes with the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import get_current
from opentelemetry.trace import Span, SpanKind, get_tracer

from callworker.message import queue_of
from worker.core.trace_context import NAMES
from worker.tracing import context
from worker.tracing.spans import fail, of_job, of_message


class SentJobs:
    """Makes the spans of jobs on their way to a broker. Thread-safe."""

    def __init__(self, system: str) -> None:
        """`system` is the name of the broker in the semantic conventions."""
        self._system = system

    @contextmanager
    def sent(self, jobs: Sequence[Mapping[str, str]]) -> Iterator[list[Mapping[str, str]]]:
        """Yield the fields of the jobs with the context of their spans in place of their own; the block sends them.

        The parent of a span is the context in the job, or else the one that this thread is in. What the block raises
        passes unchanged.
        """
        spans = [self._span(job) for job in jobs]
        try:
            yield [
                {name: value for name, value in job.items() if name not in NAMES} | context.headers(span)
                for job, span in zip(jobs, spans, strict=True)
            ]
        except Exception as error:
            for span in spans:
                fail(span, type(error).__name__, str(error))
            raise
        finally:
            for span in spans:
                span.end()

    def _span(self, job: Mapping[str, str]) -> Span:
        given = context.read(job.get("traceparent"), job.get("tracestate"))
        return get_tracer("callworker").start_span(
            "send calls",
            context.below(given) if given.is_valid else get_current(),
            SpanKind.PRODUCER,
            of_job(job["account"], job["id"])
            | of_message(self._system, "send", queue_of(job["account"]), job["id"]),
        )
