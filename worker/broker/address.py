"""Which broker: BROKER_URL, else REDIS_URL, else the embedded server."""

from __future__ import annotations

from worker import embedded
from worker.settings import Settings


def broker_url(settings: Settings) -> str:
    """The URL of the broker that `settings` name. Starts nothing."""
    if settings.broker_url is not None:
        return settings.broker_url
    if settings.redis_url is not None:
        return settings.redis_url
    return embedded.broker_url(settings.state_dir or embedded.default_state_dir())


def broker_variable(settings: Settings) -> str:
    """The environment variable that names the broker."""
    return "REDIS_URL" if settings.broker_url is None else "BROKER_URL"


def redis_broker(settings: Settings) -> str | None:
    """The broker's address for redis-py where the broker is one Redis server, else None (AMQP, a list)."""
    url = broker_url(settings)
    scheme = url.partition("://")[0].lower()
    return url if ";" not in url and scheme in ("redis", "rediss", "redis+socket", "unix") else None
