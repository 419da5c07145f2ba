"""Lets the keys of a Redis grow older, as far as they expire."""

from __future__ import annotations

import redis


def grow_older(client: redis.Redis, seconds: float) -> None:
    """Take so much from the time that each key has left to live. Keys without such a time stay as they are."""
    names = list(client.scan_iter(count=1000))
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.pttl(name)
        left = dict(zip(names, pipeline.execute(), strict=True))
        for name, left_ms in left.items():
            if left_ms >= 0:
                pipeline.pexpire(name, left_ms - round(seconds * 1000))
        pipeline.execute()
