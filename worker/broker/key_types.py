"""What each key of a Redis broker holds, or should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from worker.broker.redis_lists import PRIORITY_SUFFIXES, filing_keys
from worker.queues import CALLS, INTAKE, RESULTS, TASK_QUEUES


def expected_types() -> dict[str, str]:
    """The type of every key that a worker takes messages from or puts events into, beside what kombu keeps there."""
    lists = (f"{queue.name}{suffix}" for queue in (*TASK_QUEUES, RESULTS) for suffix in PRIORITY_SUFFIXES)
    bindings = (f"_kombu.binding.{queue.exchange.name}" for queue in (CALLS, RESULTS))
    filing = zip(filing_keys(CALLS.name), ("hash", "zset", "set"), strict=True)
    return {
        **dict.fromkeys(lists, "list"),
        INTAKE.name: "stream",
        **dict.fromkeys(bindings, "set"),
        **dict(filing),
    }


def wrong_types(client: redis.Redis) -> Mapping[str, tuple[str, str]]:
    """By the keys that hold something else than they should: what they hold, and what they should.

    Raises what redis-py raises.
    """
    expected = expected_types()
    with client.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        found: list[Any] = pipeline.execute()
    return {
        key: (held.decode(), wanted)
        for (key, wanted), held in zip(expected.items(), found, strict=True)
        if held.decode() not in (wanted, "none")
    }
