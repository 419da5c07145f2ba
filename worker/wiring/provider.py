"""Makes the client of the provider."""

from __future__ import annotations

from worker.core.ports import Provider
from worker.provider import Codes, Connections, Observers, ProxStop
from worker.settings import Settings
from worker.telemetry.counting import CountingProvider
from worker.telemetry.metrics import Metrics


def make_provider(
    settings: Settings, codes: Codes, observers: Observers, metrics: Metrics, *, kept: int
) -> Provider:
    """Return the client. `kept`: how many connections it keeps, if the settings allow it to keep any."""
    proxstop = ProxStop(
        settings.proxstop_url,
        settings.proxstop_format,
        settings.proxstop_timeout,
        codes=codes,
        observers=observers,
        extended=settings.extended,
        connections=Connections(
            kept=kept if settings.keeps_connections else 0, ca_file=settings.proxstop_ca_file
        ),
    )
    return CountingProvider(proxstop, metrics)
