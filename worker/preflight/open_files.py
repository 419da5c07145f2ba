"""Checks and raises the limit of open files. Each call and each webhook delivery in flight may need one."""

from __future__ import annotations

import resource

from worker.core.costs import OTHER_FILES
from worker.errors import ConfigurationError

LEAST_WEBHOOKS = 16
"""Webhook deliveries whose files are among the others."""


def check(calls: int) -> None:
    """Raise ConfigurationError if this process may not open enough files for so many calls in flight.

    Each call has a connection, and connections are kept. Without this check a low limit would look like a provider that
    cannot be reached.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigurationError(
            f"CONCURRENCY: {calls} needs {needed} open files, but the limit is {hard}; "
            "lower it or raise the limit (ulimit -n, LimitNOFILE)"
        )


def allow(calls: int, webhooks: int) -> int:
    """Raise the limit of this process as far as so many calls and webhook deliveries in flight need.

    Returns for how many of the `webhooks` the limit is high enough; calls go first. Raises as `check` does.
    """
    check(calls)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = calls + OTHER_FILES
    needed = others + webhooks if hard == resource.RLIM_INFINITY else min(others + webhooks, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return max(needed - others, min(webhooks, LEAST_WEBHOOKS))
