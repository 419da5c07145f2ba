"""Spans of jobs without servers: ids that all workers compute alike, outages of the collector, and the start."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import StatusCode

from tests.collector import Collector
from tests.doubles.clocks import FakeClock
from tests.doubles.samples import job, rejection
from worker.cli.doctor import tracing
from worker.cli.doctor.finding import Grade
from worker.core.events import Failure
from worker.errors import ConfigurationError, Redial
from worker.settings import Settings
from worker.tracing import context, installed
from worker.tracing.export import QUIET_SECONDS, Outage, ToldExporter
from worker.tracing.jobs import JobIds, JobSpans
from worker.tracing.sending import SentJobs

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = f"00-{TRACE}-{SPAN}-01"
REFUSAL = Failure("INVALID_JOB", "the job is not valid")


class Worker:
    """What one worker process has for its spans."""

    def __init__(self, *, linked: bool = False, sampler: Sampler | None = None) -> None:
        self._ids, self._exporter = JobIds(), InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, id_generator=self._ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        url = "https://api.proxstop.com/telephonecall.xml"
        self.spans = JobSpans(provider.get_tracer("test"), self._ids, "redis", linked=linked, call_url=url)

    @property
    def made(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("given", [None, CONTEXT])
def test_workers_agree_about_the_span_of_a_job(given: str | None, linked: bool) -> None:
    """One makes a span of a call, another one that of the job, and neither has heard of the other."""
    one, other = Worker(linked=linked), Worker(linked=linked)
    origin = job("a", traceparent=given, tracestate="v=1").origin
    one.spans.called(job("a", traceparent=given, tracestate="v=1"), 0.5, 200, None)
    other.spans.ended(origin, rejection("a", "acme"), REFUSAL, 1, 2)
    (call,), (ended,) = one.made, other.made
    assert call.parent == ended.context and call.context is not None
    assert one.spans.context(origin) == other.spans.context(origin)
    assert one.spans.context(origin) != one.spans.context(job("b", traceparent=given).origin)


def test_job_joins_its_producers_trace_or_links_to_it() -> None:
    """The state of the producer's system goes on with a trace that is joined."""
    origin = job("a", traceparent=CONTEXT, tracestate="v=1").origin
    joined, linked = Worker(), Worker(linked=True)
    for worker in (joined, linked):
        worker.spans.ended(origin, rejection("a", "acme"), REFUSAL, 1, 2)
    (span,) = joined.made
    assert span.parent is not None and span.context is not None and not span.links
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert joined.spans.context(origin).startswith(f"00-{TRACE}-") and joined.spans.context(origin).endswith(
        " v=1"
    )
    (span,) = linked.made
    assert span.parent is None and span.context is not None and f"{span.context.trace_id:032x}" != TRACE
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]


def test_what_is_not_sampled_makes_no_span_and_is_told_on() -> None:
    """The context says so, to webhooks too, which would begin traces of their own otherwise."""
    for sampler, given in ((ParentBased(ALWAYS_OFF), None), (None, CONTEXT.removesuffix("01") + "00")):
        worker = Worker(sampler=sampler)
        one = job("a", traceparent=given)
        worker.spans.called(one, 0.5, 200, None)
        worker.spans.ended(one.origin, rejection("a", "acme"), REFUSAL, 1, 2)
        assert worker.made == []
        assert context.unpacked(worker.spans.context(one.origin)).is_valid
        assert worker.spans.context(one.origin).endswith("-00")


def test_a_share_of_the_traces_is_whole() -> None:
    """A sampler by ratio decides alike at every worker: of each job there are all spans or none."""
    workers = [Worker(sampler=ParentBased(TraceIdRatioBased(0.5))) for _ in range(2)]
    for n in range(200):
        one = job(f"job-{n}")
        workers[0].spans.called(one, 0.5, 200, None)
        workers[1].spans.ended(one.origin, rejection(one.id, "acme"), REFUSAL, 1, 2)
    calls, ends = ({span.context.trace_id for span in worker.made if span.context} for worker in workers)
    assert calls == ends and 50 < len(calls) < 150


def test_failed_call_tells_why_without_numbers() -> None:
    """Of the error there are code and words, in which a number is masked."""
    worker = Worker()
    worker.spans.called(job("a"), 0.5, None, Redial("the answer for 2125555555 was lost"))
    (span,) = worker.made
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None and span.attributes["error.type"] == "OUTCOME_UNKNOWN"
    assert "OUTCOME_UNKNOWN" in str(span.status.description) and "2125555555" not in str(
        span.status.description
    )
    assert span.start_time is not None and span.end_time is not None
    assert span.end_time - span.start_time == 500_000_000


class Scripted(InMemorySpanExporter):
    """Fails while it is told to, with the library's words in the log."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.failing, self._logger = False, logger

    def export(self, spans: object) -> SpanExportResult:
        if not self.failing:
            return SpanExportResult.SUCCESS
        for n in range(3):
            self._logger.warning("connection refused, try %d", n)
        return SpanExportResult.FAILURE


@pytest.fixture
def heard() -> Iterator[tuple[Outage, logging.Logger, FakeClock]]:
    clock, logger = FakeClock(), logging.getLogger("tests.exporter")
    outage = Outage(clock)
    logger.addFilter(outage.said)
    yield outage, logger, clock
    logger.removeFilter(outage.said)


def test_outage_of_the_collector_is_told_once(heard: tuple[Outage, logging.Logger, FakeClock]) -> None:
    """One line when it begins, with the exporter's words, and one when no span was lost for a while."""
    outage, logger, clock = heard
    inner = Scripted(logger)
    exporter = ToldExporter(inner, outage)
    with structlog.testing.capture_logs() as lines:
        exporter.export([])
        for failing in (True, True, False, True, False):
            inner.failing = failing
            exporter.export([])
            clock.advance(1)
        outage.full(logging.makeLogRecord({}))
        clock.advance(QUIET_SECONDS)
        exporter.export([])
        exporter.export([])
    assert [line["event"] for line in lines] == ["traces.export_failed", "traces.export_recovered"]
    assert lines[0]["problem"] == "connection refused, try 0"


def test_start_is_refused_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names what to install; variables that ask for another exporter are refused as well."""
    installed.check({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    with pytest.raises(
        ConfigurationError, match="OTEL_TRACES_EXPORTER: is not a known value; allowed is otlp"
    ):
        installed.check({"OTEL_TRACES_EXPORTER": "console"})
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    with pytest.raises(
        ConfigurationError, match=r"TRACING: needs opentelemetry-sdk and .* install callworker\[otel\]"
    ):
        installed.check({})


@pytest.mark.parametrize(("status", "grade"), [(200, Grade.OK), (400, Grade.WARN)])
def test_doctor_asks_the_collector(status: int, grade: Grade, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends an empty batch; a collector that takes none is a warning, because jobs go on. Nothing if all is off."""
    with Collector(status) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        (finding,) = tracing.collector(Settings.from_env({"TRACING": "links"}))
    assert finding.grade is grade and (grade is Grade.OK or "Bad Request" in finding.text)
    assert [*tracing.collector(Settings.from_env({})), *tracing.check(Settings.from_env({}))] == []


def test_doctor_tells_what_prevents_a_start() -> None:
    """With `TRACING`, and only then; the collector is not asked."""
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    (finding,) = tracing.check(Settings.from_env({"TRACING": "parent"}), environ)
    assert finding.grade is Grade.FAIL and "OTEL_EXPORTER_OTLP_PROTOCOL" in finding.text
    assert [*tracing.check(Settings.from_env({}), environ)] == []


def test_context_in_a_job_goes_on_where_a_program_makes_no_spans() -> None:
    """A producer without OpenTelemetry set up sends the context of the job, or none."""
    fields = {"id": "a", "account": "acme", "phone": "2125555555"}
    with SentJobs("redis").sent([fields, fields | {"traceparent": CONTEXT}]) as jobs:
        assert jobs == [fields, fields | {"traceparent": CONTEXT}]


def test_worker_needs_no_package_of_tracing() -> None:
    """Without `TRACING` neither a worker nor a producer imports OpenTelemetry, which need not be installed."""
    modules = "worker.app, worker.celery_edge.program, worker.wiring, worker.producer, worker.cli.enqueue"
    script = f"import sys; sys.modules['opentelemetry'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
