"""The Lua scripts that work on a Redis broker."""

from __future__ import annotations

from functools import cache

from worker.redisio.lua import texts

_TEXTS = texts("worker.inbound")
_BOUNDED = ("fetch", "restore", "take")


@cache
def source(name: str) -> str:
    """A script as Redis gets it: the prelude, where it hands messages out, and its own file."""
    parts = ("bounded", name) if name in _BOUNDED else (name,)
    return "".join(_TEXTS[part] for part in parts)
