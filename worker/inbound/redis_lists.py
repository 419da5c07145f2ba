"""Takes messages from kombu's lists in Redis, without the gap in which kombu can lose a message.

kombu takes a message with BRPOP and files it as unacknowledged in a second step; a worker that dies between the two
loses it. Here one script does both. Messages, lists and the filed form are kombu's own. Times are those of Redis'
clock.
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
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall

_STEP = "\x06\x16"
PRIORITY_SUFFIXES = ("", f"{_STEP}3", f"{_STEP}6", f"{_STEP}9")
"""kombu keeps a queue's messages in one list per priority step; see `Channel._q_for_pri`."""

MAX_RESTORE, RESTORE_BYTES = 500, 8 * 1024 * 1024
"""Most messages that are put back in one call, and most bytes of all of them."""

FETCH_BYTES = 2 * 1024 * 1024
"""Most bytes of all messages that are taken in one call."""

MESSAGE_BYTES = 2 * MAX_MESSAGE_BYTES
"""Most bytes of a message in kombu's form, which has the body in base64. A larger one is cut."""

HEAD_BYTES = 8192
"""How much is kept of a message that is cut: its beginning."""

WRONG_SECONDS = 5.0
"""How long a list whose key has another type is left alone."""

_CUT = b"callworker:cut:"
_RESTORE_BOUNDS = (RESTORE_BYTES, MESSAGE_BYTES, HEAD_BYTES)


@dataclass(frozen=True, slots=True)
class Filed:
    """A message that was taken and filed as unacknowledged under `tag`; `restored` if it was filed before."""

    tag: bytes
    raw: bytes
    restored: bool


class Fetched(NamedTuple):
    """The messages that were taken; `more` is true if there may be more now."""

    messages: list[Filed]
    more: bool


class Restored(NamedTuple):
    """How many messages went back, and the filed forms from which no message can be read.

    `more` is true if there may be more messages to put back now.
    """

    messages: int
    unreadable: list[Filed]
    more: bool


def filing_keys(name: str) -> tuple[str, str, str]:
    """Return the keys of unacknowledged messages: a hash, a sorted set by time, and the set of restored tags."""
    return f"{name}.unacked", f"{name}.unacked_index", f"{name}.restored"


def uncut(raw: bytes) -> tuple[bytes, Whole | None]:
    """Split what a script handed out: a message and None; or the beginning of a cut message and its size."""
    size, colon, head = raw[len(_CUT) :].partition(b":") if raw.startswith(_CUT) else (b"", b"", b"")
    return (head, Whole(int(size))) if colon and re.fullmatch(rb"[0-9]{1,12}", size) else (raw, None)


class RedisLists:
    """The lists of some queues. For one thread. Every method may raise StoreUnavailable.

    `wrong` names the keys that have another type than they should. The other keys are not affected; the wrong ones are
    tried again every `WRONG_SECONDS`.
    """

    def __init__(
        self,
        client: redis.Redis,
        queues: Sequence[str],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is the prefix of the keys of unacknowledged messages.

        Other users of kombu have other keys in the same database, because they restore messages after other times.
        """
        self.wrong: frozenset[str] = frozenset()
        self._clock, self._wrong_until = clock, 0.0
        self._lists = tuple(queue + suffix for queue in queues for suffix in PRIORITY_SUFFIXES)
        self._turned = 0
        self._unacked = filing_keys(name)
        self._scripts = Scripts(client, source)

    def fetch(
        self,
        most: int,
        acknowledged: Sequence[bytes],
        most_bytes: int = FETCH_BYTES,
        left_alone: Collection[str] = (),
    ) -> Fetched:
        """Remove the acknowledged messages and take up to `most` new ones. Takes one round trip.

        Lists that hold enough give equal numbers; another list comes first each time. The messages together have at
        most `most_bytes`, plus the size of the last eight. Nothing is taken from the queues `left_alone`.
        """
        self._turned = (self._turned + 1) % len(self._lists)
        lists = self._lists[self._turned :] + self._lists[: self._turned]
        if self._clock() < self._wrong_until:
            lists = tuple(one for one in lists if one not in self.wrong)
        if left_alone:
            lists = tuple(one for one in lists if one.partition(_STEP)[0] not in left_alone)
        keys, bounds = (*self._unacked, *lists), (most, most_bytes, MESSAGE_BYTES, HEAD_BYTES)
        messages, wrong, more = self._scripts.run(ScriptCall("fetch", keys, [*bounds, *acknowledged]))
        self._note_wrong(wrong, looked=most > 0 and len(lists) == len(self._lists))
        return Fetched([Filed(tag, raw, bool(back)) for tag, raw, back in messages], bool(more))

    @property
    def blocked(self) -> bool:
        """Whether no message can be taken at all, because it could not be filed."""
        return not self.wrong.isdisjoint(self._unacked)

    def _note_wrong(self, keys: Iterable[bytes], *, looked: bool) -> None:
        """Remember the wrong keys. `looked` is true if all keys were tried, so that every other key is right."""
        found = frozenset(key.decode(errors="backslashreplace") for key in keys)
        if found or looked:
            self.wrong = found if looked else self.wrong | found
            self._wrong_until = self._clock() + WRONG_SECONDS

    def keep(self, tags: Collection[bytes]) -> None:
        """Report that these messages are still in hand: they count as filed now. Takes one round trip."""
        if tags:
            self._scripts.run(ScriptCall("keep", self._unacked[1], list(tags)))

    def restore_older_than(self, seconds: float) -> Restored:
        """Put back messages that were neither acknowledged nor kept for `seconds`. Takes one round trip.

        Puts back up to `MAX_RESTORE` messages, the oldest first. An unreadable one stays filed, as if filed now: the
        caller must put it aside and acknowledge it.
        """
        return self._put_back([seconds, MAX_RESTORE, *_RESTORE_BOUNDS])

    def hand_back(self, acknowledged: Sequence[bytes], tags: Iterable[bytes]) -> None:
        """Remove the acknowledged messages and put back those with `tags`; for the end of a worker. Two round trips."""
        self.fetch(0, acknowledged)
        self._put_back(["", 0, *_RESTORE_BOUNDS, *tags])

    def _put_back(self, arguments: Sequence[str | bytes | float]) -> Restored:
        keys = (*self._unacked, *self._lists)
        count, unreadable, wrong, more = self._scripts.run(ScriptCall("restore", keys, arguments))
        self._note_wrong(wrong, looked=False)
        return Restored(count, [Filed(tag, raw, True) for tag, raw in unreadable], bool(more))
