"""Kombu's lists in Redis, taken from without the gap in which kombu can lose a message.

kombu takes a message with BRPOP and files it as unacknowledged in a second step; a worker that dies in between loses
it. Here one script does both. Messages, lists and the filed form are kombu's own; times are those of Redis' clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import redis

from worker.core.judging import MAX_MESSAGE_BYTES
from worker.core.ports import Whole
from worker.inbound.lua import source
from worker.redisio.runner import ScriptCall, Scripts

PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu keeps a queue's messages in one list per priority step; see `Channel._q_for_pri`."""

MAX_RESTORE, RESTORE_BYTES = 500, 8 * 1024 * 1024
FETCH_BYTES = 2 * 1024 * 1024
MESSAGE_BYTES = 2 * MAX_MESSAGE_BYTES
"""Of a message as kombu keeps it, its body in base64. What is larger is cut, to this beginning:"""
HEAD_BYTES = 8192
WRONG_SECONDS = 5.0
"""For so long a list that holds something else is left alone."""

_CUT = b"callworker:cut:"
_RESTORE_BOUNDS = (RESTORE_BYTES, MESSAGE_BYTES, HEAD_BYTES)


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was taken and filed as unacknowledged under `tag`; `restored` if it was filed before."""

    tag: bytes
    raw: bytes
    restored: bool


class Fetched(NamedTuple):
    """`more`: another look now may find more."""

    messages: list[Filed]
    more: bool


class Restored(NamedTuple):
    """How many messages went back, and those filed in a form, `raw`, that no message can be read from."""

    messages: int
    unreadable: list[Filed]
    more: bool


def filing_keys(name: str) -> tuple[str, str, str]:
    """Of what is unacknowledged: a hash, a sorted set by time, and the set of what was put back."""
    return f"{name}.unacked", f"{name}.unacked_index", f"{name}.restored"


def uncut(raw: bytes) -> tuple[bytes, Whole | None]:
    """What a script handed out: a message; or the beginning of one that was too large, and what is known of it."""
    size, colon, head = raw[len(_CUT) :].partition(b":") if raw.startswith(_CUT) else (b"", b"", b"")
    return (head, Whole(int(size))) if colon and re.fullmatch(rb"[0-9]{1,12}", size) else (raw, None)


class RedisLists:
    """The lists of some queues. For one thread. Raises StoreUnavailable.

    `name` begins the keys of what is unacknowledged, apart from those of other kombu users of the same database,
    whose restorers wait differently long. `wrong` are the keys that hold something else than they should; the others
    are not affected, and these are looked at again every few seconds.
    """

    def __init__(
        self,
        client: redis.Redis,
        queues: Sequence[str],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wrong: frozenset[str] = frozenset()
        self._clock, self._wrong_until = clock, 0.0
        self._lists = tuple(queue + suffix for queue in queues for suffix in PRIORITY_SUFFIXES)
        self._turned = 0
        self._unacked = filing_keys(name)
        self._scripts = Scripts(client, source)

    def fetch(self, most: int, acknowledged: Sequence[bytes], most_bytes: int = FETCH_BYTES) -> Fetched:
        """Strike off what is acknowledged, and take up to `most` messages: as many from each list that holds enough,
        and where there is room for a few only, from another list first each time. They take `most_bytes` and the last
        eight of them.
        """
        self._turned = (self._turned + 1) % len(self._lists)
        lists = self._lists[self._turned :] + self._lists[: self._turned]
        if self._clock() < self._wrong_until:
            lists = tuple(one for one in lists if one not in self.wrong)
        keys, bounds = (*self._unacked, *lists), (most, most_bytes, MESSAGE_BYTES, HEAD_BYTES)
        messages, wrong, more = self._scripts.run(ScriptCall("fetch", keys, [*bounds, *acknowledged]))
        self._note_wrong(wrong, looked=most > 0 and len(lists) == len(self._lists))
        return Fetched([Filed(tag, raw, bool(back)) for tag, raw, back in messages], bool(more))

    @property
    def blocked(self) -> bool:
        """Whether nothing at all can be taken: it could not be filed."""
        return not self.wrong.isdisjoint(self._unacked)

    def _note_wrong(self, keys: Iterable[bytes], *, looked: bool) -> None:
        """`looked`: no key was left out, so that what is not among these is right."""
        found = frozenset(key.decode(errors="backslashreplace") for key in keys)
        if found or looked:
            self.wrong = found if looked else self.wrong | found
            self._wrong_until = self._clock() + WRONG_SECONDS

    def keep(self, tags: Collection[bytes]) -> None:
        """Say that these are in hand still: they count as filed now."""
        if tags:
            self._scripts.run(ScriptCall("keep", self._unacked[1], list(tags)))

    def restore_older_than(self, seconds: float) -> Restored:
        """Put back what was filed longer ago and neither acknowledged nor kept; up to `MAX_RESTORE`, oldest first.

        What is unreadable stays filed, as of now: it is for the caller to put it aside and acknowledge it.
        """
        return self._put_back([seconds, MAX_RESTORE, *_RESTORE_BOUNDS])

    def hand_back(self, acknowledged: Sequence[bytes], tags: Iterable[bytes]) -> None:
        """The last word before the end: strike off the one, put back the other."""
        self.fetch(0, acknowledged)
        self._put_back(["", 0, *_RESTORE_BOUNDS, *tags])

    def _put_back(self, arguments: Sequence[str | bytes | float]) -> Restored:
        keys = (*self._unacked, *self._lists)
        count, unreadable, wrong, more = self._scripts.run(ScriptCall("restore", keys, arguments))
        self._note_wrong(wrong, looked=False)
        return Restored(count, [Filed(tag, raw, True) for tag, raw in unreadable], bool(more))
