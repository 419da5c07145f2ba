"""Knows which type each key of the store should have; for `doctor`. `scripts/README.md` has the map of all keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from worker.state import keys

_OF_A_SHARD = {
    "due": "zset",
    "expiry": "zset",
    "leases": "zset",
    "outbox": "list",
    "relay": "string",
    "deliveries": "zset",
    "pending": "hash",
    "hooks": "zset",
    "hook-leases": "zset",
    "hook-pending": "hash",
    "strangers": "zset",
    "turn": "string",
    "back": "hash",
    "back-rest": "zset",
}
_OF_ALL = {
    keys.FILES: "hash",
    keys.DRAIN: "string",
    keys.INSTALLATION: "string",
    keys.FILE_IDS: "string",
    keys.DEAD: "list",
    keys.AUDIT: "list",
    keys.DEAD_BYTES: "string",
    keys.REFUSAL: "string",
    keys.WRITE_CHECK: "string",
    keys.WORKERS: "hash",
    keys.MEMORY: "list",
    keys.LAYOUT: "string",
}


def expected_types() -> dict[str, str]:
    """Return the type of every key whose name does not contain an account or a job."""
    clocks = [keys.clock(key) for key in (*keys.prefixes(), keys.FILES, keys.WORKERS)]
    return {
        **_OF_ALL,
        **dict.fromkeys([*clocks, keys.elected()], "string"),
        **{f"{prefix}{name}": kind for prefix in keys.prefixes() for name, kind in _OF_A_SHARD.items()},
    }


def wrong_types(client: redis.Redis, expected: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Find the keys of another type than expected. Returns {key: (type found, type expected)}.

    Takes one round trip. Raises what redis-py raises.
    """
    with client.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        found: list[Any] = pipeline.execute()
    return {
        key: (held.decode(), wanted)
        for (key, wanted), held in zip(expected.items(), found, strict=True)
        if held.decode() not in (wanted, "none")
    }
