"""Finds the store and the broker from the settings. Its errors say what to do."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import redis

from worker import embedded
from worker.broker import address
from worker.broker.address import redis_url, state_dir
from worker.cli.output import say
from worker.core.accounts import Accounts
from worker.errors import StoreUnavailable
from worker.redisio.connection import connect
from worker.redisio.translation import store_errors
from worker.settings import Settings
from worker.state import layout

STARTING_SECONDS = 15.0
"""How long a command waits for an embedded server: a worker that was just started may not have it ready yet."""

QUIET_SECONDS = 1.0
"""After this time of waiting the person is told why."""

_POLL_SECONDS = 0.1


def here(settings: Settings) -> Settings:
    """The settings, or those of `callworker dev` if they name no server and only its embedded server is running."""
    if not settings.embedded or settings.broker_url is not None or _answers(state_dir(settings)):
        return settings
    return _dev(settings) if _answers(dev_folder(settings)) else settings


def dev_folder(settings: Settings) -> Path:
    """The folder of `callworker dev`, apart from that of `callworker run`, which may hold real jobs."""
    usual = state_dir(settings)
    return usual.with_name(f"{usual.name}-dev")


def dev_accounts_file(folder: Path) -> Path:
    """The accounts file of `callworker dev`."""
    return folder / "accounts.toml"


def store(settings: Settings) -> redis.Redis:
    """Connect to the store, waiting for an embedded server to answer. Raises StoreUnavailable."""
    layout.choose(settings.redis_url, settings.redis_shards)
    client = connect(redis_url(_started(settings)), replicas=settings.redis_replicas)
    try:
        with store_errors():
            layout.check(client)
    except BaseException:
        client.close()
        raise
    return client


def broker(settings: Settings) -> str:
    """The address of the broker. If that is the embedded server, wait until it answers. Raises StoreUnavailable."""
    return address.broker_url(_started(settings) if settings.broker_url is None else settings)


def accounts(settings: Settings) -> Accounts:
    """Load the accounts of the worker whose server answers. Raises ConfigurationError."""
    return Accounts.load(here(settings).accounts_file)


def not_running(settings: Settings) -> str:
    """The line that tells a person that no embedded server is running."""
    return f"no embedded server is running in {state_dir(settings)}: start `callworker run`, or set REDIS_URL"


def _dev(settings: Settings) -> Settings:
    folder = dev_folder(settings)
    _tell_of_dev(folder)
    files = (
        {} if "accounts_file" in settings.model_fields_set else {"accounts_file": dev_accounts_file(folder)}
    )
    return settings.model_copy(update={"state_dir": folder, **files})


@cache
def _tell_of_dev(folder: Path) -> None:
    say(f"callworker: using the server of `callworker dev`, in {folder}", err=True)


def _started(settings: Settings) -> Settings:
    """Wait for the embedded server to answer and return its settings. Settings with REDIS_URL return unchanged."""
    if not settings.embedded:
        return settings
    begun, told = time.monotonic(), False
    while not _answers(state_dir(found := here(settings))):
        waited = time.monotonic() - begun
        if waited > STARTING_SECONDS:
            raise StoreUnavailable(not_running(settings))
        if waited > QUIET_SECONDS and not told:
            told = True
            say(f"callworker: waiting for the embedded server in {state_dir(settings)}", err=True)
        time.sleep(_POLL_SECONDS)
    return found


def _answers(folder: Path) -> bool:
    try:
        with connect(embedded.socket_url(folder)) as client:
            _ask(client)
    except StoreUnavailable:
        return False
    return True


def _ask(client: redis.Redis) -> None:
    with store_errors():
        client.ping()
