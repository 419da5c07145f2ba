"""What tracing needs before a worker may start. Imports nothing of OpenTelemetry itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from worker.errors import ConfigurationError

_PACKAGES = {
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}
_ONLY = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
}
"""Variables of OpenTelemetry that choose between exporters, and the one that there is."""


def check_producer() -> None:
    """Raise ConfigurationError if a producer cannot make spans. Where they go is the business of its own program."""
    if not _is_there("opentelemetry.trace"):
        raise ConfigurationError(
            "TRACING: needs opentelemetry-api; install callworker[otel], or set TRACING=off"
        )


def check(environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigurationError if a package is missing, or a variable asks for an exporter that is not there."""
    missing = [name for name, module in _PACKAGES.items() if not _is_there(module)]
    problems = [
        f"{name}: is not a known value; allowed is {only}"
        for name, only in _ONLY.items()
        if environ.get(name, "").strip().lower() not in ("", only)
    ]
    if missing:
        told = f"TRACING: needs {' and '.join(missing)}; install callworker[otel], or set TRACING=off"
        problems.insert(0, told)
    if problems:
        raise ConfigurationError(*problems)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
