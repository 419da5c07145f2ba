"""Finds the way to a broker from its address."""

from __future__ import annotations

import os

from callworker.errors import ConfigurationError
from callworker.link import Link


def links(url: str | None, *, timeout: float, queue_type: str | None) -> Link:  # noqa: ARG001
    """Return a link, not connected yet, to the broker at `url`, or BROKER_URL, or REDIS_URL.

    Raises ConfigurationError.
    """
    given = url or os.environ.get("BROKER_URL") or os.environ.get("REDIS_URL")
    if not given:
        raise ConfigurationError("no address of a broker: give one, or set BROKER_URL or REDIS_URL")
    scheme = given.partition("://")[0]
    raise ConfigurationError(f"no way to {scheme}://…")
