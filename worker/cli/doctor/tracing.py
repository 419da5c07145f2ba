"""Checks that jobs can be traced, if they are to be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from worker.cli.doctor.finding import Finding
from worker.errors import ConfigurationError
from worker.settings import Settings
from worker.tracing import installed

NAME = "tracing"


def check(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield a finding for each thing that prevents the start of a worker with `TRACING`."""
    try:
        if settings.traced:
            installed.check(environ)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding.fail(NAME, problem, "install callworker[otel], or correct that variable")


def collector(settings: Settings) -> Iterator[Finding]:
    """Send the collector an empty batch of spans."""
    if not settings.traced or any(check(settings)):
        return
    from worker.tracing.export import probe

    try:
        problem = probe()
    except ConfigurationError as error:
        yield Finding.fail(NAME, str(error), "correct that variable")
        return
    if problem:
        remedy = "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT; jobs go on without spans"
        yield Finding.warn(NAME, f"the collector takes no spans: {problem[:300]}", remedy)
    else:
        yield Finding.ok(NAME, f"{settings.tracing}; the collector takes spans")
