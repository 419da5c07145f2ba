"""Exports the spans of a command that sends jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from worker.settings import Settings


@contextmanager
def exported(settings: Settings) -> Iterator[None]:
    """Export the spans that are made in the `with` block, if jobs are traced. Takes some seconds at the most.

    Raises ConfigurationError if that is not possible.
    """
    if not settings.traced:
        yield
        return
    from worker.tracing import installed

    installed.check()
    from opentelemetry.trace import set_tracer_provider

    from worker.tracing.export import Export

    export = Export()
    set_tracer_provider(export.provider)
    try:
        yield
    finally:
        export.close()
