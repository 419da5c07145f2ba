"""The Lua scripts that work on the store."""

from __future__ import annotations

from functools import cache

import redis

from worker.redisio.lua import texts
from worker.redisio.runner import Scripts

_TEXTS = texts("worker.state")
_ALONE = ("bury", "claim", "drop_letter")
"""Scripts that need nothing of the prelude."""

_WHEN_FULL = ("settle", "park", "keep", "relay", "end_delivery")
"""What a server without memory must take too. Whatever leads to a call it must refuse."""


def store_scripts(client: redis.Redis) -> Scripts:
    """The scripts of this package on the Redis of `client`."""
    return Scripts(client, source)


@cache
def source(name: str) -> str:
    """A script as Redis gets it: the preludes, unless it needs none, and its own file."""
    preludes = () if name in _ALONE else ("common",)
    if name in _WHEN_FULL:
        preludes = ("when_full", *preludes)
    return "".join(_TEXTS[part] for part in (*preludes, name))
