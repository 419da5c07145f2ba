"""Which servers: REDIS_URL is the store, BROKER_URL, else the store, is the broker; else the embedded server is both.

Nothing here starts a server.
"""

from __future__ import annotations

from pathlib import Path

from callworker.address import is_redis
from worker import embedded
from worker.settings import Settings


def state_dir(settings: Settings) -> Path:
    """Return the embedded server's folder."""
    return settings.state_dir or embedded.default_state_dir()


def redis_url(settings: Settings) -> str:
    """Return the address of the store."""
    return settings.redis_url or embedded.socket_url(state_dir(settings))


def broker_url(settings: Settings) -> str:
    """Return the address of the broker, for kombu."""
    return settings.broker_url or settings.redis_url or embedded.broker_url(state_dir(settings))


def broker_variable(settings: Settings) -> str:
    """Return the name of the environment variable that has the broker's address."""
    return "REDIS_URL" if settings.broker_url is None else "BROKER_URL"


def redis_broker(settings: Settings) -> str | None:
    """Return the broker's address if that is a Redis or names Sentinels; None for AMQP or a failover list."""
    url = broker_url(settings)
    return url if ";" not in url and is_redis(url) else None


def separate_redis_broker(settings: Settings) -> str | None:
    """Return the address of `redis_broker` if that is not the store too, else None."""
    given = settings.broker_url is not None and settings.broker_url != settings.redis_url
    return redis_broker(settings) if given else None
