"""What the keys of the store hold, or should; for `doctor`. `scripts/README.md` has the map of all of them."""

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
    "strangers": "zset",
}
_OF_ALL = {
    keys.CLOCK: "string",
    keys.FILES: "hash",
    keys.FILE_IDS: "string",
    keys.DEAD: "list",
    keys.DEAD_BYTES: "string",
    keys.REFUSAL: "string",
}


def expected_types() -> dict[str, str]:
    """The type of every key whose name is known without the names of accounts and jobs."""
    return {
        **_OF_ALL,
        **{f"{prefix}{name}": kind for prefix in keys.prefixes() for name, kind in _OF_A_SHARD.items()},
    }


def wrong_types(client: redis.Redis, expected: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """By the keys that hold something else than `expected`: what they hold, and what they should.

    Raises what redis-py raises.
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
