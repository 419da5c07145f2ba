"""The rooms of the house: which may import which, what libraries each may use, and that each one's map is true.

The client for producers is a room too, at the ground: a distribution of its own, which knows nothing of the worker.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/python/src/callworker"

MAY_IMPORT = {
    # Ground: what producers have too, then names and rules that need nothing.
    "callworker": "",
    "errors": "callworker",
    "failpoints": "errors",
    "configuration": "",
    "settings": "configuration errors",
    # What a job is, what may happen to it, and what is needed from outside.
    "core": "configuration errors failpoints settings",
    # The ways to the outside.
    "network": "callworker errors",
    "redisio": "callworker errors",
    "http": "core errors failpoints network",
    "privacy": "core",
    "embedded": "",
    "broker": "callworker core embedded errors network redisio settings",
    "provider": "configuration core errors http network",
    "delivery": "broker configuration core errors failpoints http network",
    "state": "core delivery errors privacy redisio",
    "inbound": "broker core errors failpoints privacy redisio",
    "tracing": "broker callworker core delivery errors privacy",
    "telemetry": "core delivery errors http network privacy provider redisio",
    "engine": "configuration core delivery errors failpoints inbound network telemetry",
    # The doors, and what puts all of it together.
    "producer": "broker callworker core errors settings tracing",
    "preflight": "broker configuration core errors network provider redisio settings state tracing",
    "wiring": "broker configuration core delivery engine errors inbound preflight privacy provider redisio settings"
    " state telemetry tracing",
    "celery_edge": "broker configuration core embedded engine errors failpoints inbound preflight settings telemetry"
    " wiring",
    "app": "celery_edge",
    # It plays the provider, so it must not share the code that it tests.
    "sandbox": "",
    "cli": "broker celery_edge configuration core delivery embedded errors http inbound network preflight"
    " privacy producer provider redisio sandbox settings state telemetry tracing",
}
"""Room → the rooms that it may import, below it all of them: no two import each other."""

LIBRARIES = {
    # Each is optional, and imported only by the modules that need it.
    "callworker": {"aio_pika", "aiormq", "amqp", "cryptography", "pytest", "redis"},
    "core": {"pydantic", "pydantic_core", "tenacity"},
    "errors": set[str](),
    "failpoints": set[str](),
    "engine": {"gevent", "structlog"},
    "delivery": {"structlog"},
}
"""All the libraries that these rooms may use. Celery, Redis and requests are the adapters' business; a webhook goes out
by the HTTP client of `http/`."""

SOURCES = sorted((ROOT / "worker").rglob("*.py"))
ALL_SOURCES = [*SOURCES, *sorted(CLIENT.rglob("*.py"))]


def room(path: Path) -> str:
    """worker/core/jobs.py → "core", worker/errors.py → "errors", worker/__init__.py → "", clients/… → "callworker"."""
    if CLIENT in path.parents:
        return CLIENT.name
    return path.relative_to(ROOT / "worker").parts[0].removesuffix(".py").removeprefix("__init__")


ROOMS = {room(path) for path in ALL_SOURCES} - {""}


def imported(path: Path) -> Iterator[str]:
    """The dotted names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    """The rooms, other than its own, that a file imports."""
    names = [name.split(".") for name in imported(path)]
    rooms = {
        name[1] if name[0] == "worker" else name[0] for name in names if name[0] in ("worker", CLIENT.name)
    }
    return (rooms & ROOMS) - {room(path)}


def rooms_imported_by(name: str) -> set[str]:
    return set().union(*(rooms_imported(path) for path in ALL_SOURCES if room(path) == name))


def test_table_has_every_room() -> None:
    """A new room is given its place in the table, and one that went is taken out of it."""
    assert MAY_IMPORT.keys() == ROOMS


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_table_goes_down(name: str) -> None:
    """A room may import only rooms that stand above it in the table, so there is no circle."""
    assert set(MAY_IMPORT[name].split()) <= set(list(MAY_IMPORT)[: list(MAY_IMPORT).index(name)]) | {
        "sandbox"
    }


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_room_imports_what_the_table_says(name: str) -> None:
    """A room imports every room that the table names, and no other."""
    assert rooms_imported_by(name) == set(MAY_IMPORT[name].split())


@pytest.mark.parametrize("name", LIBRARIES)
def test_room_uses_no_other_library(name: str) -> None:
    """The core has pydantic, in which jobs are checked, and tenacity, which drives attempts; the engine has gevent,
    in which calls share a thread."""
    names = {
        library.split(".")[0] for path in ALL_SOURCES if room(path) == name for library in imported(path)
    }
    assert names - sys.stdlib_module_names - {"worker", CLIENT.name} <= LIBRARIES[name]
