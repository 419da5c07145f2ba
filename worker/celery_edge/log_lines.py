"""The first and the last log line of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import structlog

from worker import __version__
from worker.broker.address import broker_url
from worker.engine.engine import Left
from worker.settings import Settings

ACCOUNTS_NAMED = 20

log = structlog.get_logger(__name__)


def tell_start(settings: Settings, accounts: Sequence[str], *, places: int) -> None:
    """`worker.started`: which version works for whom, and with how many places for calls."""
    log.info(
        "worker.started",
        version=__version__,
        accounts=_named(accounts),
        places=places,
        broker=broker_url(settings).partition(":")[0],
        embedded_store=settings.embedded,
        metrics=f"{settings.metrics_host}:{settings.metrics_port}",
    )


def tell_end(left: Left, seconds: float) -> None:
    """`worker.stopped`: how long it worked, and what it leaves to others."""
    log.info("worker.stopped", seconds=round(seconds, 1), **asdict(left))


def _named(accounts: Sequence[str]) -> str:
    more = len(accounts) - ACCOUNTS_NAMED
    return ", ".join(accounts[:ACCOUNTS_NAMED]) + (f" and {more} more" if more > 0 else "")
