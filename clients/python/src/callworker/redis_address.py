"""Reads addresses of Redis, in every form that redis-py documents, kombu's for a socket, and those of Sentinels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from redis.connection import parse_url

from callworker import tls
from callworker.address import UNREADABLE
from callworker.masters import MasterConnection, MasterSSLConnection
from callworker.sentinels import SCHEMES, divided

Parameters = dict[str, Any]
"""Arguments of redis-py's connections, with their class as `connection_class` unless that is `Connection`."""

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
_USED = {"client_name", "password", "username", *MIN_OPTIONS}
_DECIDED_HERE = {
    "decode_responses", "encoding", "encoding_errors", "legacy_responses", "lib_name", "lib_version", "protocol",
    "retry_on_error", "retry_on_timeout", "socket_keepalive", "socket_read_size",
}  # fmt: skip
"""Options that are accepted and ignored: this program reads raw bytes of RESP 2 and repeats no command."""


def parameters(url: str) -> Parameters:
    """Read an address. Raises ValueError; its text repeats nothing that could be part of a password."""
    return _of_master(url) if url.partition("://")[0].lower() in SCHEMES else _of_server(url)


def _of_master(url: str) -> Parameters:
    """Read an address of Sentinels: the arguments are those of a connection to the master that they name."""
    single, sentinels = divided(url)
    given = _of_server(single)
    sentinels.options = {name: value for name, value in given.items() if name.startswith("ssl_")}
    kind = MasterSSLConnection if "ssl_cert_reqs" in given else MasterConnection
    kept = {name: value for name, value in given.items() if name not in ("host", "port")}
    return kept | {"connection_class": kind, "sentinels": sentinels}


def _of_server(url: str) -> Parameters:
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
        # Before version 6, redis-py verifies the name only if it is told to.
        given.setdefault("ssl_check_hostname", given["ssl_cert_reqs"] != "none")
        tls.context(given)
    return {"db": 0} | {name: value for name, value in given.items() if name not in _DECIDED_HERE}


def bounded(given: Mapping[str, Any], answer_seconds: float, connect_seconds: float) -> Parameters:
    """Return the arguments with these timeouts. Those in the address count only if they are shorter."""
    made = {"socket_timeout": answer_seconds, "socket_connect_timeout": connect_seconds} | dict(given)
    made["socket_timeout"] = min(made["socket_timeout"], answer_seconds)
    made["socket_connect_timeout"] = min(made["socket_connect_timeout"], connect_seconds)
    return made


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
