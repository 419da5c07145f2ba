"""The Lua scripts that work on a Redis broker."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_BOUNDED = ("fetch", "restore", "take")


@cache
def source(name: str) -> str:
    """A script as Redis gets it: the prelude, where it hands messages out, and its own file."""
    folder = files("worker.broker") / "scripts"
    parts = ("bounded", name) if name in _BOUNDED else (name,)
    return "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
