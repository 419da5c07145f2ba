"""Counts the requests to the provider that are in flight, and keeps their API keys out of the log."""

from __future__ import annotations

from prometheus_client import Gauge

from worker.core.jobs import Job
from worker.core.ports import Gate, Provider
from worker.privacy.redaction import register_secret
from worker.telemetry.metrics import Metrics


class CountingProvider:
    """A Provider that counts the requests in flight, from the opening of the gate to their end."""

    def __init__(self, provider: Provider, metrics: Metrics) -> None:
        self._provider, self._gauge = provider, metrics.calls_in_flight

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        """Place the call, and count it while it is in flight."""
        # The key's file may have got another key since it was checked.
        register_secret(api_key)
        counting = _CountingGate(gate, self._gauge)
        try:
            return self._provider.place_call(job, api_key, counting)
        finally:
            counting.close()


class _CountingGate:
    """A gate that counts a request in `gauge` from the opening of the gate to `close`."""

    def __init__(self, gate: Gate, gauge: Gauge) -> None:
        self._gate, self._gauge, self._open = gate, gauge, False
        self.connecting = gate.connecting

    def opens(self) -> float | None:
        closes = self._gate.opens()
        self._open = True
        self._gauge.inc()
        return closes

    def close(self) -> None:
        if self._open:
            self._gauge.dec()
