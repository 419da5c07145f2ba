"""Reads addresses of RabbitMQ, with kombu's options and RabbitMQ's own names for those of TLS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from callworker import tls
from callworker.address import UNREADABLE

ALIASES = {
    "auth_mechanism": "login_method",
    "cacertfile": "ssl_ca_certs",
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "server_name_indication": "server_hostname",
    "verify": "ssl_cert_reqs",
}
"""RabbitMQ's own names for options of an AMQP address. Source: its documentation, "URI Query Parameters"."""

_READ: Mapping[str, Callable[[str], Any]] = {
    "connect_timeout": float,
    "heartbeat": float,
    "login_method": str.upper,
    "ssl_cert_reqs": lambda text: tls.level(
        text.lower().replace("verify_peer", "required").replace("verify_", "")
    ),
    "ssl_check_hostname": lambda text: text.lower() not in ("0", "f", "false", "n", "no"),
    "ssl_min_version": int,
}
_PLAIN = {"connect_timeout", "heartbeat", "login_method"}
_SECURE = tls.OPTIONS | {"server_hostname"}


@dataclass(frozen=True, slots=True)
class AmqpAddress:
    """One address. What it leaves out is None. `secure` has the options of TLS with the server's name, or is None."""

    host: str | None
    port: int | None
    user: str | None
    password: str | None
    virtual_host: str | None
    secure: Mapping[str, Any] | None
    options: Mapping[str, Any]
    """`connect_timeout` and `heartbeat` in seconds, `login_method`; those that were given."""


def parse(url: str) -> AmqpAddress:
    """Read an address. Raises ValueError; its text repeats nothing that could be part of a password."""
    parts, port = _split(url)
    secured = parts.scheme.lower() == "amqps"
    options = _options(dict(parse_qsl(parts.query)), secured=secured)
    host = unquote(parts.hostname or "") or None
    security = {"server_hostname": host or "localhost"} | {
        name: value for name, value in options.items() if name in _SECURE
    }
    if secured:
        tls.context(security)
    return AmqpAddress(
        host,
        port,
        unquote(parts.username or "") or None,
        unquote(parts.password or "") or None,
        unquote(parts.path.removeprefix("/")) or None,
        security if secured else None,
        {name: value for name, value in options.items() if name in _PLAIN},
    )


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(UNREADABLE) from None
    if parts.fragment:
        raise ValueError("contains a #, after which nothing is read; write it as %23")
    if "@" in parts.path:
        raise ValueError(UNREADABLE)
    return parts, port


def _options(query: Mapping[str, str], *, secured: bool) -> dict[str, Any]:
    options = _read_options(query)
    if not secured and options.keys() & _SECURE:
        raise ValueError("has options of TLS, which only amqps:// can use")
    if options.keys() - _PLAIN - _SECURE:
        known = ", ".join(sorted(_PLAIN))
        raise ValueError(
            f"has an option that is not known; allowed are {known}, and with amqps:// those of TLS"
        )
    return options


def _read_options(query: Mapping[str, str]) -> dict[str, Any]:
    made = {}
    for given, text in query.items():
        name = ALIASES.get(given, given)
        try:
            made[name] = _READ.get(name, str)(text)
        except ValueError:
            raise ValueError(f"{name} has a value that is not allowed") from None
    return made
