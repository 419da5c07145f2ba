"""Kombu's lists in Redis, taken from without the gap in which kombu can lose a message.

kombu takes a message with BRPOP and files it as unacknowledged in a second step; a worker that dies in between loses
it. Here one script does both. Messages, lists and the filed form are kombu's own; times are those of Redis' clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis

from worker.broker.lua import source
from worker.state.scripts import Call, Scripts

PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu keeps a queue's messages in one list per priority step; see `Channel._q_for_pri`."""

RESTORE_MOST = 500


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was taken and filed as unacknowledged under `tag`; `restored` if it was filed before."""

    tag: bytes
    raw: bytes
    restored: bool


class Restored(NamedTuple):
    """How many messages went back, and those filed in a form, `raw`, that no message can be read from."""

    messages: int
    unreadable: list[Filed]


class RedisLists:
    """The lists of some queues. For one thread. Raises StoreUnavailable.

    `name` begins the keys of what is unacknowledged, apart from those of other kombu users of the same database,
    whose restorers wait differently long.
    """

    def __init__(self, client: redis.Redis, queues: Sequence[str], name: str) -> None:
        self._lists = tuple(queue + suffix for queue in queues for suffix in PRIORITY_SUFFIXES)
        self._turned = 0
        self._unacked = (f"{name}.unacked", f"{name}.unacked_index", f"{name}.restored")
        self._scripts = Scripts(client, source)

    def fetch(self, most: int, acknowledged: Sequence[bytes]) -> list[Filed]:
        """Strike off what is acknowledged, and take up to `most` messages: as many from each list that holds enough,
        and where there is room for a few only, from another list first each time.
        """
        self._turned = (self._turned + 1) % len(self._lists)
        lists = self._lists[self._turned :] + self._lists[: self._turned]
        reply = self._scripts.run(Call("fetch", (*self._unacked, *lists), [most, *acknowledged]))
        return [Filed(tag, raw, bool(back)) for tag, raw, back in reply]

    def keep(self, tags: Collection[bytes]) -> None:
        """Say that these are in hand still: they count as filed now."""
        if tags:
            self._scripts.run(Call("keep", self._unacked[1], list(tags)))

    def restore_older_than(self, seconds: float) -> Restored:
        """Put back what was filed longer ago and neither acknowledged nor kept; up to `RESTORE_MOST`, oldest first.

        What is unreadable stays filed, as of now: it is for the caller to put it aside and acknowledge it.
        """
        return self._put_back([seconds, RESTORE_MOST])

    def hand_back(self, acknowledged: Sequence[bytes], tags: Iterable[bytes]) -> None:
        """The last word before the end: strike off the one, put back the other."""
        self.fetch(0, acknowledged)
        self._put_back(["", 0, *tags])

    def _put_back(self, arguments: Sequence[str | bytes | float]) -> Restored:
        count, unreadable = self._scripts.run(Call("restore", (*self._unacked, *self._lists), arguments))
        return Restored(count, [Filed(tag, raw, True) for tag, raw in unreadable])
