"""Warns, when a worker starts, of webhooks to which the guard lets nothing go."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from worker.core.accounts import Account
from worker.network.guard import Guard, GuardRefused

log = structlog.get_logger(__name__)


def warn(accounts: Iterable[Account]) -> None:
    """Log a line for each webhook whose scheme or port is not allowed. What its name resolves to shows later."""
    for account in accounts:
        for hook in account.webhooks:
            try:
                Guard.of(hook).check_url(hook.url)
            except GuardRefused as refused:
                rule = refused.rule
                log.warning(
                    "webhook.not_allowed",
                    account=account.name,
                    endpoint=hook.key,
                    rule=rule.value,
                    remedy=rule.remedy,
                )
