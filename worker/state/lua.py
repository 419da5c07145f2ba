"""The Lua scripts that work on the store."""

from __future__ import annotations

from functools import cache

import redis

from worker.redisio.lua import texts
from worker.redisio.runner import Scripts

_TEXTS = texts("worker.state")
_ALONE = ("bury", "census", "claim", "drop_letter", "leave", "note_act")
"""Scripts that use nothing of the prelude `common`."""

_WITH_ENDPOINTS = (
    "settle",
    "reject",
    "withdraw",
    "take_deliveries",
    "end_deliveries",
    "declare_endpoint",
    "enable_endpoint",
    "disable_endpoint",
    "replay",
)
"""Scripts that use the prelude `endpoints` too."""

_WHEN_FULL = ("settle", "park", "extend", "relay", "end_deliveries", "report")
"""Scripts that a server without memory must run too, because they end what was begun or tell of it. Such a server must
refuse the others, which lead to calls."""


def store_scripts(client: redis.Redis) -> Scripts:
    """Return a runner for the scripts of this package on the Redis of `client`."""
    return Scripts(client, source)


@cache
def source(name: str) -> str:
    """Return a script's text as Redis gets it: its preludes, then its own file."""
    preludes = [
        *(["when_full"] if name in _WHEN_FULL else []),
        *([] if name in _ALONE else ["common"]),
        *(["endpoints"] if name in _WITH_ENDPOINTS else []),
    ]
    return "".join(_TEXTS[part] for part in (*preludes, name))
