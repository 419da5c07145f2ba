"""Where the store and the broker are, found from the settings, with an error that says what to do."""

from __future__ import annotations

from pathlib import Path

import redis

from worker import embedded
from worker.broker import address
from worker.errors import StoreUnavailable
from worker.settings import Settings
from worker.state.connection import connect
from worker.state.scripts import translated


def state_dir(settings: Settings) -> Path:
    """The embedded server's folder."""
    return settings.state_dir or embedded.default_state_dir()


def redis_url(settings: Settings) -> str:
    """The store's address. Starts nothing."""
    return settings.redis_url or embedded.socket_url(state_dir(settings))


def store(settings: Settings) -> redis.Redis:
    """A client for the store, which answers. Raises StoreUnavailable."""
    client = connect(redis_url(settings))
    try:
        with translated():
            client.ping()
    except StoreUnavailable as problem:
        if settings.embedded:
            raise StoreUnavailable(not_running(settings)) from problem
        raise
    return client


def broker(settings: Settings) -> str:
    """The broker's address; where that is the embedded server, it answers. Raises StoreUnavailable."""
    if settings.broker_url is None and settings.embedded:
        store(settings).close()
    return address.broker_url(settings)


def not_running(settings: Settings) -> str:
    """The line for a person whose embedded server does not run."""
    return f"no embedded server runs in {state_dir(settings)}: start `callworker run`, or set REDIS_URL"
