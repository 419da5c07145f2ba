"""Checks the addresses of servers in the settings. A refusal never repeats the address, which may hold a password."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from worker.configuration.urls import http_url

SENTINEL_SCHEMES = frozenset({"redis+sentinel", "rediss+sentinel"})
CLUSTER_SCHEMES = frozenset({"redis+cluster", "rediss+cluster"})
"""How an address begins that names Sentinels in place of a server; the rest of it is checked where it is used."""
BROKER_SCHEMES = SENTINEL_SCHEMES | {
    "amqp", "amqps", "pyamqp", "redis", "redis+socket", "rediss", "sentinel", "unix",
}  # fmt: skip
"""How an address of a broker may begin; `sentinel` is refused later, in words of its own."""


def provider_url(url: str) -> str:
    """Check the address of the provider, and return it without a slash at its end. Raises ValueError."""
    rule = "allowed is http:// or https:// and a host, without user name or query"
    try:
        http_url(url)
    except ValueError as error:
        raise ValueError(f"is not an address of a provider: it {error}; {rule}") from None
    if "?" in url:
        raise ValueError(f"is not an address of a provider: it has a query; {rule}")
    return url.rstrip("/")


def proxy_url(url: str) -> str:
    """Check the address of a proxy, which may hold a user and a password. Raises ValueError."""
    rule = "allowed is http://… with a host and a port, and with user:password@ before them if need be"
    name, at, place = url.removeprefix("http://").rpartition("@")
    try:
        parts = urlsplit(http_url(f"http://{place}"))
    except ValueError as error:
        raise ValueError(f"is not an address of a proxy: it {error}; {rule}") from None
    if not url.startswith("http://") or parts.port is None or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"is not an address of a proxy; {rule}")
    if at and not re.fullmatch(r"[^/?#@:]+:[^/?#@:]*", name):
        raise ValueError(f"has no user:password before @, or one of / ? # @ : in them unescaped; {rule}")
    return url


def contact(text: str) -> str:
    """Check how the operator can be reached: a mail address or a URL. Raises ValueError."""
    if not re.fullmatch(r"[!-~]{3,200}", text) or not re.fullmatch(r"[^()\\]*(@|://)[^()\\]*", text):
        raise ValueError(
            "is no contact; allowed is a mail address or a URL, at most 200 characters without spaces and parentheses"
        )
    return text


def redis_url(url: str) -> str:
    """Check the address of a Redis, of Sentinels or of a Redis Cluster. Raises ValueError."""
    if url.partition("://")[0].lower() in SENTINEL_SCHEMES | CLUSTER_SCHEMES:
        return url
    parts = _parts(url)
    if not parts or parts.scheme not in ("redis", "rediss", "unix", "redis+socket"):
        raise ValueError(
            "is not an address of a Redis; allowed is redis://…, rediss://…, unix://…, redis+sentinel://… or "
            "redis+cluster://…"
        )
    return url


def broker_url(url: str) -> str:
    """Check the address of a broker, or several addresses with `;` between them. Raises ValueError.

    kombu has more transports, but no other one confirms messages, keeps them safe and is shared by several machines.
    """
    for address in url.split(";"):
        scheme, mark, _ = address.strip().partition("://")
        if not mark or scheme.lower() not in BROKER_SCHEMES:
            raise ValueError("is not an address of a RabbitMQ or Redis; allowed is amqp://… or redis://…")
    return url


def host(name: str) -> str:
    """Check a name or an address of this machine. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", name):
        raise ValueError(
            "is neither a name nor an address; allowed is one of this machine, such as 127.0.0.1 or 0.0.0.0"
        )
    return name


def _parts(url: str) -> SplitResult | None:
    """Split a URL. Returns None if its host or port cannot be read."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None
