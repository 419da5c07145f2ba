"""The provider's error table as it comes with the program, and the causes of requests that got no answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ops.reference.tables import code, table
from worker import errors
from worker.errors import Cause
from worker.provider.codes import Codes

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "config/provider_errors.toml"


def provider_codes() -> str:
    """A row for each code: its class, and the comment beside it in the file."""
    notes = dict(re.findall(r"^(\w+) = .*?# (.*)$", TABLE.read_text(encoding="utf-8"), re.MULTILINE))
    rows = [(code(name), code(kind), notes.get(name, "")) for name, kind in Codes.load(TABLE).classes.items()]
    return table(("code", "class", "source"), rows)


def causes() -> str:
    """A row for each cause, with what its docstring says."""
    return table(("cause", "meaning"), [(code(Cause[name]), text) for name, text in _members("Cause")])


def _members(enumeration: str) -> Iterator[tuple[str, str]]:
    """The members of an enumeration in worker/errors.py, each with the text below it."""
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enumeration]
    for member, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            yield ast.unparse(member.targets[0]), ast.literal_eval(below.value)
