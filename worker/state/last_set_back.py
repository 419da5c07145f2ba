"""Reads whether shards went back in time in the last day, and how that was made good; for `doctor`."""

from __future__ import annotations

from typing import NamedTuple

import redis

from worker.redisio.turns import HELD
from worker.state import keys


class LastSetBack(NamedTuple):
    """How many shards are held now, and how many were made good in the last day.

    Of the latter: jobs put back, jobs that count as perhaps rung, and when the last hold ended (Unix s).
    """

    held: int = 0
    shards: int = 0
    put_back: int = 0
    perhaps_rung: int = 0
    ended: float = 0.0


def last_set_back(client: redis.Redis) -> LastSetBack:
    """Return what Redis tells. Takes one round trip. Raises what redis-py raises."""
    with client.pipeline(transaction=False) as pipeline:
        for prefix in keys.prefixes():
            pipeline.get(f"{prefix}turn")
            pipeline.hmget(f"{prefix}back", "at", "put", "rest")
        replies = pipeline.execute()
    turns, told = replies[::2], replies[1::2]
    over = [[int(number or 0) for number in row] for row in told if row[0]]
    ended, put_back, perhaps_rung = zip(*over, strict=True) if over else ((0,), (), ())
    held = sum(turn == HELD for turn in turns)
    return LastSetBack(held, len(over), sum(put_back), sum(perhaps_rung), max(ended) / 1_000_000)
