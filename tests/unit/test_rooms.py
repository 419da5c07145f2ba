"""Every room has a map: a line for each of its files and folders in the docstring of its `__init__`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(
    path.parent
    for top in ("worker", "clients/python/src/callworker")
    for path in (ROOT / top).rglob("__init__.py")
)
ROW = re.compile(r"^ *(?P<name>\w+/?) {2,}(?P<what>\S.*)$", re.MULTILINE)


def parts(room: Path) -> list[str]:
    """The files of a room by their names, and the rooms in it with a slash behind."""
    files = [path.stem for path in room.glob("*.py") if not path.stem.startswith("__")]
    return sorted([*files, *(f"{path.parent.name}/" for path in room.glob("*/__init__.py"))])


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_map_names_every_part_once(room: Path) -> None:
    """All that is there is on the map, and all on the map is there."""
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")), clean=False)
    assert sorted(row["name"] for row in ROW.finditer(docstring or "")) == parts(room)
