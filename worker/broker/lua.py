"""The Lua scripts that work on a Redis broker."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def source(name: str) -> str:
    return (files("worker.broker") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
