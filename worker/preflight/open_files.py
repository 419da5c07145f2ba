"""Checks and raises the limit of open files. Each call in flight may need one."""

from __future__ import annotations

import resource

from worker.errors import ConfigurationError

OTHER_FILES = 200
"""Open files other than those of calls: connections to Redis and the broker, webhooks, logs, libraries."""


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


def allow(calls: int) -> None:
    """Raise the limit of this process as far as so many calls in flight need. Raises as `check` does."""
    check(calls)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
