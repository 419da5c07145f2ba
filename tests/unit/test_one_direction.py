"""A part gets everything that it needs when it is made: from settings, and through its constructor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[2] / "worker"
READS = (
    "os.environ[",
    "os.environ.get(",
    "os.environ.items(",
    "os.getenv(",
    "Settings.from_env(",
    "settings_or_exit(",
)
LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """All that runs as a module is imported: not the bodies of functions, but their defaults and decorators."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, LATER):
            for default in (
                *child.args.defaults,
                *child.args.kw_defaults,
                *getattr(child, "decorator_list", ()),
            ):
                yield from ast.walk(default) if default is not None else ()
        else:
            yield child
            yield from run_at_import(child)


def reads_environment(path: Path) -> bool:
    statements = run_at_import(ast.parse(path.read_text(encoding="utf-8")))
    return any(
        ast.unparse(node).startswith(READS)
        for node in statements
        if isinstance(node, ast.Call | ast.Subscript)
    )


def test_the_environment_is_read_by_no_import_but_the_apps() -> None:
    """`celery -A worker.app` cannot be told its settings; all else is given them."""
    readers = [path for path in WORKER.rglob("*.py") if reads_environment(path)]
    assert readers == [WORKER / "app.py"]


@pytest.mark.parametrize("name", ["wiring", "engine", "celery_edge", "core", "inbound"])
def test_nobody_sets_what_belongs_to_another_part(name: str) -> None:
    """An attribute of `self.part.x` is set by no one but the part: a reader finds all it has in its constructor."""
    paths = sorted((WORKER / name).rglob("*.py"))
    targets = [
        f"{path.name}: {ast.unparse(node)}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Attribute) and not ast.unparse(node).startswith("self._own.")
    ]
    assert targets == []
