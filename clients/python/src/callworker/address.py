"""Finds the way to a broker from its address."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from callworker.errors import ConfigurationError

UNREADABLE = "cannot be read; write signs like / # ? @ : % in user names and passwords as %2F %23 …"
"""What an error says of an address that is malformed. It repeats no part of it, which could be a password."""

REDIS = frozenset({"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+socket", "unix"})
AMQP = frozenset({"amqp", "amqps", "pyamqp"})
VARIABLES = ("BROKER_URL", "REDIS_URL")
MOST_REPLICAS = 5

_EXTRAS = {"redis": "redis", "amqp": "rabbitmq", "aio_pika": "rabbitmq-asyncio"}
"""The library that an address needs, and the extra of this distribution that installs it."""


def broker_urls(url: str | None) -> tuple[str, list[str]]:
    """Return the addresses in `url`, or in BROKER_URL or REDIS_URL, where `;` separates them, and what names them.

    Raises ConfigurationError if there is none, or if they are neither all of Redis nor all of RabbitMQ.
    """
    variable = next((name for name in VARIABLES if os.environ.get(name)), None)
    if url is None and variable is None:
        raise ConfigurationError(f"no broker: give its address, or set {' or '.join(VARIABLES)}")
    name, text = (
        ("the broker's address", url) if url is not None else (str(variable), os.environ[str(variable)])
    )
    found = [part.strip() for part in text.split(";")]
    if not any({_scheme(each) for each in found} <= known for known in (REDIS, AMQP)):
        raise ConfigurationError(
            f"{name} must begin with redis://, rediss://, redis+sentinel://, unix://, amqp:// or amqps://"
        )
    return name, found


def check_replicas(replicas: int) -> None:
    """Raise ConfigurationError unless so many replicas can be waited for."""
    if not 0 <= replicas <= MOST_REPLICAS:
        raise ConfigurationError(f"replicas: allowed is a whole number from 0 to {MOST_REPLICAS}")


def is_redis(url: str) -> bool:
    """Return whether the address is one of Redis; otherwise it is one of RabbitMQ."""
    return _scheme(url) in REDIS


def needed(module: str, library: str) -> Any:
    """Return a module of this package that needs a library. Raises ConfigurationError if that is not installed."""
    try:
        return import_module(f"callworker.{module}")
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        told = f"the library {library} is not installed: pip install 'callworker-client[{_EXTRAS[library]}]'"
        raise ConfigurationError(told) from None


def read(url: str, name: str) -> Any:
    """Read one address, and return it as `redis_address.parameters` or `amqp_address.parse` does.

    Raises ConfigurationError, which begins with `name` and repeats no part of the address.
    """
    try:
        if is_redis(url):
            return needed("redis_address", "redis").parameters(url)
        return needed("amqp_address", "amqp").parse(url)
    except ValueError as error:
        raise ConfigurationError(f"{name} {error}") from None


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else ""
