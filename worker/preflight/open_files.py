"""The limit of open files, of which each call in flight may need one."""

from __future__ import annotations

import resource

from worker.errors import ConfigurationError

OTHER_FILES = 200
"""Open files beside those of calls: connections to Redis and the broker, webhooks, logs, libraries."""


def check(calls: int) -> None:
    """Raises ConfigurationError where this process may not open as many files as so many calls in flight need.

    Each has a connection, and so may each kept one; what is too much would look like a provider that cannot be reached.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigurationError(
            f"CONCURRENCY: {calls} needs {needed} open files, and the limit here is {hard}; "
            "lower it or raise the limit (ulimit -n, LimitNOFILE)"
        )


def allow(calls: int) -> None:
    """Raise this process's limit as far as so many calls in flight need. Raises as `check` does."""
    check(calls)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
