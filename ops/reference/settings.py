"""The table of settings. The allowed values are taken from the error for a wrong value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ops.reference.tables import code, table
from worker.settings import CONFIG_FOLDERS, Settings

WRONG = "?"
"""A value that no setting with a rule takes."""

_ADDRESS = re.compile(r"[\w+]+://…?")


def settings() -> str:
    """A row for each setting: name, default, what is allowed, what it means."""
    rows = [_row(str(field.alias), field) for field in Settings.model_fields.values()]
    return table(("name", "default", "allowed", "meaning"), rows)


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    return (
        f'<a id="{name.lower()}"></a>{code(name)}',
        code(_default(field)),
        _allowed(name),
        field.description or "",
    )


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, Path):
        return (CONFIG_FOLDERS[0] / value.name).as_posix()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(name: str) -> str:
    _, problems = Settings.valid_part({name: WRONG})
    rule = problems[name].partition("; allowed is ")[2] if name in problems else "a path"
    return _ADDRESS.sub(r"`\g<0>`", rule)
