"""The Lua scripts that work on the store."""

from __future__ import annotations

from functools import cache

import redis

from worker.redisio.cluster_client import ClusterClient
from worker.redisio.lua import texts
from worker.redisio.nodes import Nodes
from worker.redisio.runner import Scripts
from worker.redisio.turns import Turns

_TEXTS = texts("worker.state")
_ALONE = ("bury", "census", "claim", "drain", "drop_letter", "installation", "leave", "note_act", "undrain")
"""Scripts that use nothing of the preludes `ground` and `common`."""

_ON_GROUND = ("look",)
"""Scripts that use nothing of the prelude `common`, which takes Redis as long as a small script."""

_WITH_ENDINGS = ("settle", "reject", "withdraw", "end_as_told", "put_back")
"""Scripts that use the prelude `endings` too."""

_WITH_ENDPOINTS = (
    "take_deliveries",
    "end_deliveries",
    "declare_endpoint",
    "enable_endpoint",
    "disable_endpoint",
    "replay",
)
"""Scripts that use the preludes `endings` and `endpoints` too."""

_TURNING = (
    "admit",
    "settle",
    "park",
    "renew",
    "reject",
    "turn_away",
    "withdraw",
    "end_as_told",
    "tell",
    "conflict",
    "end_deliveries",
    "declare",
    "declare_endpoint",
    "enable_endpoint",
    "disable_endpoint",
    "replay",
    "hold",
)
"""Scripts that change one shard whenever they run. `ground` counts them, see `take_turn`; those that look for work on
several shards call it themselves where they find some."""

_WHEN_FULL = ("settle", "park", "extend", "relay", "end_deliveries", "report", "rejoin", "put_back")
"""Scripts that a server without memory must run too, because they end what was begun or tell of it. Such a server must
refuse the others, which lead to calls."""

_DIALLING = ("admit", "lease", "reclaim", "renew")
"""Scripts after which jobs may be dialled."""

SPREAD = ("look", "lease", "reclaim", "relay", "take_deliveries", "regain")
"""Scripts that go over several shards. In a cluster they use the prelude `spread` too."""

_APART = "local CLUSTER = false"


def store_scripts(client: redis.Redis, nodes: Nodes | None = None, turns: Turns | None = None) -> Scripts:
    """Return a runner for the scripts of this package on the store of `client`, or on `nodes`.

    With `turns` it notices a state that went back in time.
    """
    if isinstance(client, ClusterClient):
        return Scripts(
            client, cluster_source, nodes or client.nodes, turns, dialling=_DIALLING, spread=SPREAD
        )
    return Scripts(client, source, nodes, turns, dialling=_DIALLING)


@cache
def source(name: str) -> str:
    """Return a script's text as Redis gets it: its preludes, then its own file."""
    preludes = [
        *(["when_full"] if name in _WHEN_FULL else []),
        *(["turning"] if name in _TURNING else []),
        *([] if name in _ALONE else ["ground"]),
        *([] if name in _ALONE + _ON_GROUND else ["common"]),
        *(["endings"] if name in _WITH_ENDINGS + _WITH_ENDPOINTS else []),
        *(["endpoints"] if name in _WITH_ENDPOINTS else []),
    ]
    return "".join(_TEXTS[part] for part in (*preludes, name))


def cluster_source(name: str) -> str:
    """Return a script's text as the servers of a cluster get it."""
    spread = _TEXTS["spread"] if name in SPREAD else ""
    return spread + source(name).replace(_APART, "local CLUSTER = true")
