"""Imports point downwards only: the core knows no library but pydantic, and nobody knows who stands above."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = (
    # The core: what a job is, what may happen to it, and what is needed from outside.
    {
        "accounts", "calling", "credentials", "errors", "events", "failpoints", "intake", "jobs", "limits", "misspelt",
        "open_files", "ports", "repeats", "retry", "retry_after", "settings", "settling", "textfiles", "urls", "verify",
    },
    # The adapters: Redis, broker, provider, webhooks, threads, logs, metrics, HTTP.
    {
        "addresses", "broker", "causes", "delivery", "embedded", "engine", "health", "http_faults", "http_heads",
        "labelled", "labels", "logs", "loops", "lua", "metrics", "outages", "outlet", "pages", "producer",
        "provider", "queues", "redaction", "sandbox", "scrubbing", "shared_state", "state", "threads", "tls", "trust",
        "watching", "written",
    },
    {"preflight", "wiring"},
    {"app", "steps", "tasks"},
    {"cli"},
)  # fmt: skip

CORE_LIBRARIES = {"pydantic", "pydantic_core"}
LIBRARIES_BESIDE = {"retry": {"tenacity"}, "settling": {"tenacity"}}
ALONE = {"sandbox"}
"""Parts that import nothing else of the worker."""


def part(path: Path) -> str:
    """worker/jobs.py → "jobs", worker/state/keys.py → "state", worker/__init__.py → ""."""
    return path.relative_to(ROOT / "worker").parts[0].removesuffix(".py").removeprefix("__init__")


def imported(path: Path) -> Iterator[str]:
    """The dotted names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


SOURCES = [path for path in sorted((ROOT / "worker").rglob("*.py")) if part(path)]
PARTS = {part(path) for path in SOURCES}
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def parts_imported(path: Path) -> set[str]:
    """The parts of the worker, other than its own, that a file imports."""
    names = (name.split(".") for name in imported(path))
    return ({name[1] for name in names if name[0] == "worker"} & PARTS) - {part(path)}


def test_every_part_has_its_layer() -> None:
    """A new module or package is given its place in `LAYERS`."""
    assert PARTS - LEVELS.keys() == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upwards(path: Path) -> None:
    """A file imports its own layer and those below it."""
    assert {name for name in parts_imported(path) if LEVELS[name] > LEVELS[part(path)]} == set()


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if LEVELS.get(part(path)) == 0], ids=lambda path: path.stem
)
def test_core_imports_no_library_but_pydantic(path: Path) -> None:
    """Celery, Redis and requests are the adapters' business; tenacity is that of `retry`."""
    libraries = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"worker"}
    assert libraries - CORE_LIBRARIES - LIBRARIES_BESIDE.get(part(path), set()) == set()


@pytest.mark.parametrize("name", sorted(ALONE))
def test_stand_alone_part_imports_nothing_of_the_worker(name: str) -> None:
    """The sandbox plays the provider: it must not share the code that it tests."""
    files = [path for path in SOURCES if part(path) == name]
    assert files
    assert {other for path in files for other in parts_imported(path)} == set()
