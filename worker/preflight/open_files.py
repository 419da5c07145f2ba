"""Checks and raises the limit of open files. Each call and each webhook delivery in flight may need one."""

from __future__ import annotations

import resource

from worker.errors import ConfigurationError

OTHER_FILES = 200
"""Open files other than those of calls and webhooks: connections to Redis and the broker, logs, libraries."""

LEAST_WEBHOOKS = 16
"""Webhook deliveries whose files are among the others."""


def check(calls: int) -> None:
    """Raise ConfigurationError if this process may not open enough files for so many calls in flight.

    Each call has a connection, and connections are kept. Without this check a low limit would look like a provider that
    cannot be reached.
    """
    hard = _hard()
    needed = calls + OTHER_FILES
    if hard is not None and hard < needed:
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
    fitting = webhooks
    if (most := _hard()) is not None:
        fitting = min(webhooks, max(most - calls - OTHER_FILES, LEAST_WEBHOOKS))

    needed = calls + OTHER_FILES + webhooks
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if most is None else min(needed, most), hard))
    return fitting


def _hard() -> int | None:
    """The most open files to which the limit may be raised, or None if there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard
