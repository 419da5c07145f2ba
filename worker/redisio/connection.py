"""Makes clients for Redis with bounded waits, and reads addresses of Redis as redis-py documents them.

The store's clients, those of a Redis broker, and kombu's (`broker.transports`) are all made from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from worker.errors import ConfigurationError
from worker.network import tls
from worker.redisio.primary import PrimaryConnection, PrimarySSLConnection, PrimaryUnixConnection

SOCKET_SECONDS = 5.0
"""The longest wait for a connection, and for an answer."""

UNREADABLE = "cannot be read; write signs like / # ? @ : % in user names and passwords as %2F %23 …"

Parameters = dict[str, Any]
"""Arguments of redis-py's connections, with their class as `connection_class`."""

MIN_OPTIONS = {
    "db": 0,
    "socket_timeout": 0.001,
    "socket_connect_timeout": 0.001,
    "health_check_interval": 0,
    "max_connections": 40,
}
"""The smallest values of options. With fewer connections a worker could run out of them, and would consider Redis
unreachable."""

_parse: Callable[[str], Parameters] = parse_url
_CLASSES = {"redis": PrimaryConnection, "rediss": PrimarySSLConnection, "unix": PrimaryUnixConnection}
_USED = {"client_name", "password", "username", *MIN_OPTIONS}
_DECIDED_HERE = {
    "decode_responses", "encoding", "encoding_errors", "legacy_responses", "lib_name", "lib_version", "protocol",
    "retry_on_error", "retry_on_timeout", "socket_keepalive", "socket_read_size",
}  # fmt: skip
"""Options that are accepted and ignored: this program reads raw bytes of RESP 2 and repeats no command."""


def connect(url: str, *, variable: str = "REDIS_URL", seconds: float = SOCKET_SECONDS) -> redis.Redis:
    """Return a client for `url` (redis://, rediss://, unix://) that waits `seconds` for a connection or an answer.

    It never repeats a command: a script whose answer was lost may have run. Connects at its first command. Raises
    ConfigurationError, which names `variable`, for an address that cannot be read.
    """
    try:
        arguments = bounded(parameters(url), seconds, seconds)
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from None
    return redis.Redis.from_pool(redis.ConnectionPool(**arguments))


def bounded(given: Mapping[str, Any], answer_seconds: float, connect_seconds: float) -> Parameters:
    """Return the arguments of a connection pool. Timeouts in the address count only if they are shorter."""
    made = {"socket_timeout": answer_seconds, "socket_connect_timeout": connect_seconds} | dict(given)
    made["socket_timeout"] = min(made["socket_timeout"], answer_seconds)
    made["socket_connect_timeout"] = min(made["socket_connect_timeout"], connect_seconds)
    return made | {"retry": Retry(NoBackoff(), 0), "retry_on_error": [], "protocol": 2}


def parameters(url: str) -> Parameters:
    """Read an address. Raises ValueError; its text repeats nothing that could be part of a password."""
    spelled = _respelled(url)
    try:
        given, parts = _parse(spelled), urlsplit(spelled)
    except ValueError:
        raise ValueError(UNREADABLE) from None
    _check_place(parts, named="db" in given)
    secured = parts.scheme == "rediss"
    _check_options({pair.partition("=")[0] for pair in parts.query.split("&") if pair}, secured=secured)
    _check_numbers(given)
    if secured:
        given["ssl_cert_reqs"] = tls.level(given.get("ssl_cert_reqs", "required"))
        tls.context(given)
    made = {name: value for name, value in given.items() if name not in _DECIDED_HERE}
    return {"db": 0} | made | {"connection_class": _CLASSES[parts.scheme]}


def _respelled(url: str) -> str:
    """Spell kombu's `redis+socket:///path?virtual_host=1` as redis-py does: `unix:///path?db=1`."""
    scheme, mark, rest = url.partition("://")
    if scheme.lower() != "redis+socket":
        return scheme.lower() + mark + rest
    return "unix://" + re.sub("(?<=[?&])virtual_host=", "db=", rest)


def _check_place(parts: SplitResult, *, named: bool) -> None:
    """Check the part before the options. `named` says whether a database number was found in it."""
    path = parts.path.strip("/")
    if parts.fragment:
        raise ValueError("contains a #, after which nothing is read; write it as %23")
    if parts.scheme == "unix" and (parts.hostname or not path):
        raise ValueError("names no socket; write unix:// and the whole path, with three slashes in all")
    if parts.scheme != "unix" and path and not named:
        raise ValueError("does not end in the number of a database, as in redis://host:6379/0")


def _check_options(names: set[str], *, secured: bool) -> None:
    if not secured and names & tls.OPTIONS:
        raise ValueError("has options of TLS (ssl_…), which only rediss:// can use")
    if names - _USED - _DECIDED_HERE - tls.OPTIONS:
        known = ", ".join(sorted(_USED))
        raise ValueError(
            f"has an option that is not known; allowed are {known}, and with rediss:// those of TLS"
        )


def _check_numbers(given: Parameters) -> None:
    for name, least in MIN_OPTIONS.items():
        if name in given and not given[name] >= least:
            raise ValueError(f"{name} must be at least {least}")
