"""The Lua scripts that work on a Redis broker."""

from __future__ import annotations

from functools import cache

from worker.redisio.lua import texts

_TEXTS = texts("worker.inbound")
_BOUNDED = ("fetch", "restore", "take")


@cache
def source(name: str) -> str:
    """Return a script's text as Redis gets it: the prelude, if it uses it, then its own file."""
    parts = ("bounded", name) if name in _BOUNDED else (name,)
    return "".join(_TEXTS[part] for part in parts)
