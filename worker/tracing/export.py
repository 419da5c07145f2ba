"""The provider of spans, set up by the standard variables OTEL_…, and what the log tells of its export.

Spans wait in a bounded queue; the batch processor's own thread sends them. So no collector, however slow, delays a job.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from worker import __version__
from worker.errors import ConfigurationError

CLOSE_SECONDS = 3.0
"""How long a process that ends waits for its last spans to be sent."""

QUIET_SECONDS = 15.0
"""An outage of the collector is over if a batch gets through and no span was lost for this long."""

MAX_PROBLEM = 300
"""Characters of the exporter's own words that the log has."""

PROBE_SECONDS = 3.0
"""How long `callworker doctor` waits for the collector."""

_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_QUEUE = "opentelemetry.sdk._shared_internal"
_NO_NAME = "unknown_service"
_TRY = re.compile(r"Transient error (.*) encountered while exporting .*", re.DOTALL)
"""What the exporter says of a failed try that it repeats."""

log = structlog.get_logger(__name__)


class Export:
    """A provider of spans that exports them by OTLP over HTTP, until `close`. Make it after a fork."""

    def __init__(self, ids: IdGenerator | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigurationError if a variable OTEL_… holds a value that the exporter refuses."""
        self._outage = Outage(clock)
        exporter = ToldExporter(exporter_from_env(), self._outage)
        self.provider = TracerProvider(resource=_resource(), id_generator=ids, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._filters = {_EXPORTER: self._outage.said, _QUEUE: self._outage.full}
        for name, listen in self._filters.items():
            logging.getLogger(name).addFilter(listen)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send the spans that are left, for at most `seconds`; then they are lost."""
        shutdown = threading.Thread(target=self.provider.shutdown, name="spans", daemon=True)
        shutdown.start()
        shutdown.join(seconds)
        if not shutdown.is_alive():
            for name, listen in self._filters.items():
                logging.getLogger(name).removeFilter(listen)


class Outage:
    """Writes one line when the collector stops taking spans, and one when it takes them again.

    Any thread may call `full`, and one thread the rest. Known weakness: two threads that find the queue full at the
    same moment may write two lines.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._away, self._last, self._lost = clock, False, 0.0, 0
        self.words = ""
        """What the exporter said first about the batch under way."""

    def begins_batch(self) -> None:
        """A batch is about to be exported."""
        self.words = ""

    def said(self, record: logging.LogRecord) -> bool:
        """Keep the exporter's first words about a batch, in place of the library's line for each try."""
        self.words = self.words or _TRY.sub(r"\1", record.getMessage())
        return False

    def full(self, _record: logging.LogRecord) -> bool:
        """Take note that the queue is full, in place of the library's line."""
        self.failed(1, "the queue of spans is full")
        return False

    def failed(self, spans: int, words: str = "") -> None:
        """So many spans were lost. Without `words` the exporter's own are told."""
        self._last, self._lost = self._clock(), self._lost + spans
        if not self._away:
            self._away = True
            log.warning("traces.export_failed", problem=(words or self.words)[:MAX_PROBLEM])

    def passed(self) -> None:
        """A batch got through."""
        if self._away and self._clock() - self._last >= QUIET_SECONDS:
            log.info("traces.export_recovered", spans_lost=self._lost)
            self._away, self._lost = False, 0


class ToldExporter(SpanExporter):
    """Exports, and reports to `outage` what became of each batch."""

    def __init__(self, inner: SpanExporter, outage: Outage) -> None:
        self._inner, self._outage = inner, outage

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._outage.begins_batch()
        try:
            result = self._inner.export(spans)
        except Exception as error:
            self._outage.failed(len(spans), f"{type(error).__name__}: {error}")
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._outage.passed()
        else:
            self._outage.failed(len(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


def exporter_from_env(timeout_seconds: float | None = None) -> OTLPSpanExporter:
    """Make the exporter that the variables describe. Raises ConfigurationError for a value that it refuses."""
    try:
        return OTLPSpanExporter(timeout=timeout_seconds)
    except Exception as error:
        # Which variable it was, only the text says.
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_…: cannot be used: {error}") from error


def probe() -> str:
    """Send an empty batch to the collector. Returns what is wrong, or an empty text if it took the batch."""
    outage = Outage()
    logger = logging.getLogger(_EXPORTER)
    logger.addFilter(outage.said)
    try:
        exporter = exporter_from_env(PROBE_SECONDS)
        taken = exporter.export([]) is SpanExportResult.SUCCESS
        exporter.shutdown()  # type: ignore[no-untyped-call]
    finally:
        logger.removeFilter(outage.said)
    return "" if taken else outage.words


def _resource() -> Resource:
    """What the operator's variables say of this process comes before what the program knows."""
    told = Resource.create()
    instance = f"{socket.gethostname()}:{os.getpid()}"
    own = Resource({SERVICE_VERSION: __version__, SERVICE_INSTANCE_ID: instance})
    unnamed = str(told.attributes.get(SERVICE_NAME, _NO_NAME)).startswith(_NO_NAME)
    return own.merge(told).merge(Resource({SERVICE_NAME: "callworker"} if unnamed else {}))
