"""Celery messages from a Redis broker, for the intake."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import redis

from worker.broker.queues import CALLS, TASK_QUEUES
from worker.core.judging import Broken, Submission
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.inbound.bell import Bell
from worker.inbound.entry import Entry, Taker
from worker.inbound.listening import Listening
from worker.inbound.messages import Envelope, read_task
from worker.inbound.redis_lists import FETCH_BYTES, MESSAGE_BYTES, Filed, RedisLists, uncut
from worker.inbound.upkeep import ABANDONED_SECONDS, Upkeep

MAX_BATCH = 256
MAX_IN_HAND = 512
"""All of them lie before a message that comes now, whoever sent them; two batches keep the intake busy."""
IDLE_SECONDS = 0.004
"""How long a new message may lie when nothing else goes on: half of it, on average."""
LISTEN_SECONDS = 0.25

BUSY_SECONDS, BUSY_CALLS_PER_SECOND = 0.02, 300
"""The pause in a process that begins more calls than that, from which each look takes time, or that has more in hand
than it has put on record."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


class RedisQueue:
    """One turn acknowledges what is on record and fetches more; for one thread.

    What a worker took and neither acknowledged nor kept for `ABANDONED_SECONDS`, because it died or froze, another puts
    back; see `Upkeep`.
    """

    def __init__(
        self,
        client: redis.Redis,
        taker: Taker,
        calls: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_in_hand: int = MAX_IN_HAND,
    ) -> None:
        """`calls`: how many the process has begun so far."""
        self._lists = RedisLists(client, [queue.name for queue in TASK_QUEUES], CALLS.name)
        self._taker, self._upkeep, self._calls, self._clock = taker, Upkeep(clock), calls, clock
        self._seen = calls(), clock()
        self._listening = Listening(Bell(client, CALLS.name), LISTEN_SECONDS, clock)
        self._batch, self._max_in_hand = MAX_BATCH, max_in_hand
        self._lock = threading.Lock()
        self._in_hand: set[bytes] = set()
        self._done: list[bytes] = []

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable; what was to be acknowledged is kept."""
        busy, done = self._is_busy(), self._take_done()
        try:
            if not (done or self._in_hand):
                self._listening.listen()
            self._upkeep.turn(self._keep, self._restore)
            hit("fetch.before")
            room = self._room()
            filed, more = self._lists.fetch(room, done, self._bytes)
        except Exception:
            self._batch = max(self._batch // 2, 1)
            self._acknowledge(done)
            self._upkeep.interrupted()
            self._listening.stir()
            raise
        self._batch = min(self._batch * 2, MAX_BATCH)
        self._in_hand.difference_update(done)
        if filed:
            self._listening.stir()
            hit("fetch.after")
        for message in filed:
            self._hand_over(message, partial(_read, message.raw))
        if more and room:
            return 0.0
        return IDLE_SECONDS if room and not busy else BUSY_SECONDS

    def _room(self) -> int:
        """For how many messages; half as many after each reply that did not come, which may have been too long."""
        free = max(self._max_in_hand - len(self._in_hand), 0)
        return min(self._batch, free) if self._taker.room_bytes > 0 else 0

    @property
    def _bytes(self) -> int:
        return min(FETCH_BYTES * self._batch // MAX_BATCH, self._taker.room_bytes)

    def _is_busy(self) -> bool:
        """Whether many calls have begun since the last look."""
        (before, since), (begun, now) = self._seen, (self._calls(), self._clock())
        self._seen = begun, now
        return begun - before > BUSY_CALLS_PER_SECOND * (now - since)

    @property
    def wrong(self) -> frozenset[str]:
        """Keys that hold something else than they should."""
        return self._lists.wrong

    @property
    def blocked(self) -> bool:
        """Whether nothing can be taken for it."""
        return self._lists.blocked

    def close(self) -> None:
        """Hand back what is not on record. What cannot be said now, because Redis is away, is restored later."""
        done = self._take_done()
        self._listening.close()
        with suppress(StoreUnavailable):
            self._lists.hand_back(done, self._in_hand.difference(done))

    def _take_done(self) -> list[bytes]:
        with self._lock:
            done, self._done = self._done, []
        return done

    def _acknowledge(self, tags: Sequence[bytes]) -> None:
        with self._lock:
            self._done += tags

    def _keep(self) -> None:
        if not self._taker.stuck:
            self._lists.keep(self._in_hand)

    def _restore(self) -> bool:
        restored = self._lists.restore_older_than(ABANDONED_SECONDS)
        for message in restored.unreadable:
            self._hand_over(message, _unreadable)
        return not restored.more

    def _hand_over(self, message: Filed, read: Callable[[], Submission | Broken]) -> None:
        """Nothing of it is decoded yet: that is done where a message that crashes its worker leaves a mark."""
        self._in_hand.add(message.tag)
        done = partial(self._acknowledge, [message.tag])
        raw, cut = uncut(message.raw)
        if cut is not None:
            read = _too_large
        self._taker.put(
            Entry(raw, read, done, Source.CELERY, message.restored, shown=partial(_shown, raw), cut=cut)
        )


def _read(raw: bytes) -> Submission | Broken:
    envelope = Envelope.parse(raw)
    return envelope if isinstance(envelope, Broken) else read_task(envelope)


def _unreadable() -> Broken:
    return Broken("filed as unacknowledged in a form that cannot be read")


def _too_large() -> Broken:
    return Broken(f"larger than {MESSAGE_BYTES} bytes")


def _shown(raw: bytes) -> bytes:
    """The body alone, where it can be told from the rest: kombu's base64 around it would hide a PIN from redaction."""
    envelope = Envelope.parse(raw)
    return _BASE64.sub(b"[base64]", raw) if isinstance(envelope, Broken) else envelope.body
