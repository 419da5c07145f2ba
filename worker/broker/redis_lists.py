"""Kombu's lists in Redis, taken from without the gap in which kombu can lose a message.

kombu takes a message with BRPOP and files it as unacknowledged in a second step; a worker that dies in between loses
it. Here one script does both. Messages, lists and the filed form are kombu's own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import redis

PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu keeps a queue's messages in one list per priority step; see `Channel._q_for_pri`."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was taken and filed as unacknowledged under `tag`; `restored` if it was filed before."""

    tag: str
    raw: bytes
    restored: bool


class RedisLists:
    """The lists of some queues. For one thread. Raises redis-py's errors.

    `name` begins the keys of what is unacknowledged, apart from those of other kombu users of the same database,
    whose restorers wait differently long.
    """

    def __init__(self, client: redis.Redis, queues: Sequence[str], name: str) -> None:
        self._client = client
        self._lists = [queue + suffix for queue in queues for suffix in PRIORITY_SUFFIXES]
        self._unacked = [f"{name}.unacked", f"{name}.unacked_index", f"{name}.restored"]
        self._fetch = client.register_script(_source("fetch"))
        self._restore = client.register_script(_source("restore"))

    def fetch(self, most: int, acknowledged: Sequence[str]) -> list[Filed]:
        """Strike off what is acknowledged, and take up to `most` messages; the lists in turn, another one first."""
        if acknowledged:
            self._strike_off(acknowledged)
        self._lists.append(self._lists.pop(0))
        keys = [*self._unacked, *self._lists]
        reply: Any = self._fetch(keys, [most, f"{time.time():.3f}"])
        return [Filed(tag.decode("utf-8", "backslashreplace"), raw, bool(back)) for tag, raw, back in reply]

    def restore_older_than(self, seconds: float) -> int:
        """Put back what was filed longer ago and not acknowledged; how many."""
        reply: Any = self._restore(self._unacked, [f"{time.time() - seconds:.3f}"])
        return int(reply)

    def hand_back(self, acknowledged: Sequence[str], tags: Iterable[str]) -> None:
        """The last word before the end: strike off the one, put back the other."""
        if acknowledged:
            self._strike_off(acknowledged)
        self._restore(self._unacked, ["", *tags])

    def _strike_off(self, tags: Sequence[str]) -> None:
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._unacked[0], *tags)
            pipeline.zrem(self._unacked[1], *tags)
            pipeline.execute()


@cache
def _source(name: str) -> str:
    return (files("worker.broker") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
