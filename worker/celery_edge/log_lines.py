"""Writes the first and the last log lines of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import structlog

from worker import __version__
from worker.broker.address import broker_url
from worker.core.accounts import Accounts
from worker.engine.engine import Left
from worker.settings import Settings

MAX_ACCOUNTS = 20
"""Accounts that the first line names."""

log = structlog.get_logger(__name__)


def tell_start(settings: Settings, accounts: Accounts, *, places: int, webhook_places: int) -> None:
    """Log `worker.started` with the version, the accounts, the hash of their file, and the places."""
    log.info(
        "worker.started",
        version=__version__,
        accounts=_named(list(accounts)),
        accounts_file=accounts.digest,
        places=places,
        webhook_places=webhook_places,
        broker=broker_url(settings).partition(":")[0],
        embedded_store=settings.embedded,
        metrics=f"{settings.metrics_host}:{settings.metrics_port}",
    )


def tell_fewer_webhooks(places: int, wished: int) -> None:
    """Log `webhooks.fewer_places` if the limit of open files (`ulimit -n`) allows fewer than WEBHOOKS_IN_FLIGHT."""
    if places < wished:
        log.warning("webhooks.fewer_places", places=places, wished=wished)


def tell_end(left: Left, seconds: float, *, jobs_finished: int) -> None:
    """Log `worker.stopped` with the running time, the jobs that ended, and the work that is left to others."""
    log.info("worker.stopped", seconds=round(seconds, 1), jobs_finished=jobs_finished, **asdict(left))


def _named(accounts: Sequence[str]) -> str:
    more = len(accounts) - MAX_ACCOUNTS
    return ", ".join(accounts[:MAX_ACCOUNTS]) + (f" and {more} more" if more > 0 else "")
