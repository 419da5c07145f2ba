"""Connections to Redis and the broker are made in one place each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.unit.test_layers import ALL_SOURCES, ROOT

MAKERS = {
    "redis.Redis",
    "Redis.from_url",
    "Redis.from_pool",
    "redis.ConnectionPool",
    "kombu.Connection",
    "amqp.Connection",
}
HOMES = {
    "clients/python/src/callworker/aio/redis.py",
    "clients/python/src/callworker/redis.py",
    "worker/embedded/probe.py",
    "worker/redisio/connection.py",
}
"""The one in embedded/ asks the embedded server on its socket whether it is there."""


def called(text: str) -> Iterator[str]:
    """The last two names of everything that is called, with what `from … import` hides put back."""
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            yield ".".join(imported.get(name, name).split(".")[-2:])


def test_connections_are_made_in_one_place() -> None:
    """Whatever asks Redis or a broker, a command or a producer too, has an address read and a certificate verified by
    the same code (E3)."""
    makers = {
        str(path.relative_to(ROOT))
        for path in ALL_SOURCES
        if MAKERS & set(called(path.read_text(encoding="utf-8")))
    }
    assert makers == HOMES
