"""Takes Celery messages from a Redis broker, for the intake."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import redis

from worker.broker.queues import CALLS, SHARD_QUEUES, TASK_QUEUES
from worker.core.judging import Broken, Submission
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.inbound.entry import Entry, Taker
from worker.inbound.listening import Listening
from worker.inbound.messages import Envelope, read_task
from worker.inbound.redis_lists import FETCH_BYTES, MESSAGE_BYTES, Fetched, Filed, RedisLists, uncut
from worker.inbound.upkeep import ABANDONED_SECONDS, Upkeep
from worker.redisio.bell import Bell

MAX_BATCH = 256
MAX_IN_HAND = 512
"""Most unacknowledged messages. A new message waits behind all of them, so this is small; two batches are enough to
keep the intake busy."""

IDLE_SECONDS = 0.004
"""The pause between two questions when nothing else goes on. A new message waits for half of it on average."""

LISTEN_SECONDS = 1.0
"""How long one wait for the bell lasts."""

BUSY_SECONDS, BUSY_CALLS_PER_SECOND = 0.02, 300
"""The pause while the process begins more calls than that, because each question takes time from them, and while no
further message may be taken."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


class RedisQueue:
    """A source: one turn acknowledges the messages whose jobs are on record and fetches more. For one thread.

    If a worker dies or freezes, another one puts its messages back after `ABANDONED_SECONDS`, see `Upkeep`.
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
        """`calls` returns how many calls the process has begun so far."""
        self._lists = RedisLists(client, [queue.name for queue in TASK_QUEUES], CALLS.name)
        self._taker, self._upkeep, self._calls, self._clock = taker, Upkeep(clock), calls, clock
        self._seen = calls(), clock()
        self._listening = Listening(Bell(client, CALLS.name), LISTEN_SECONDS, clock)
        self._batch, self._max_in_hand = MAX_BATCH, max_in_hand
        self._saw_all = False
        self._lock = threading.Lock()
        self._in_hand: set[bytes] = set()
        self._done: list[bytes] = []

    def turn(self) -> float:
        """Acknowledge and fetch once; return the seconds until the next turn.

        Raises StoreUnavailable; the next turn then acknowledges what this one could not.
        """
        busy, done = self._is_busy(), self._take_done()
        try:
            room, fetched = self._fetch(done)
        except Exception:
            self._interrupted(done)
            raise
        self._batch = min(self._batch * 2, MAX_BATCH)
        self._in_hand.difference_update(done)
        if fetched.messages:
            self._listening.stir()
            hit("fetch.after")
        for message in fetched.messages:
            self._hand_over(message, partial(_read, message.raw))
        if fetched.more and room:
            return 0.0
        return IDLE_SECONDS if room and not busy else BUSY_SECONDS

    def _fetch(self, done: Sequence[bytes]) -> tuple[int, Fetched]:
        """Acknowledge `done` and fetch; return also for how many messages there was room."""
        asks = bool(done) or self._is_active or self._listening.listen(patient=self._saw_all)
        self._upkeep.turn(self._keep, self._restore)
        if not asks:
            return self._room(), Fetched([], more=False)
        hit("fetch.before")
        room = self._room()
        left_alone = [SHARD_QUEUES[shard].name for shard in self._taker.full_shards]
        fetched = self._lists.fetch(room, done, self._bytes, left_alone)
        self._saw_all = room > 0 and not (left_alone or self._lists.wrong)
        return room, fetched

    @property
    def _is_active(self) -> bool:
        """Whether there are messages in hand besides those that wait for a part of the store, which may be for long."""
        return len(self._in_hand) > self._taker.put_off

    def _interrupted(self, done: Sequence[bytes]) -> None:
        """Take note that Redis could not be reached: `done` is acknowledged with the next turn."""
        self._batch = max(self._batch // 2, 1)
        self._acknowledge(done)
        self._upkeep.interrupted()
        self._listening.stir()

    def _room(self) -> int:
        """Return how many messages to fetch: half as many after each lost reply, which may have been too large."""
        free = max(self._max_in_hand + self._taker.put_off - len(self._in_hand), 0)
        return min(self._batch, free) if self._taker.room_bytes > 0 else 0

    @property
    def _bytes(self) -> int:
        """How many bytes to fetch, in proportion to the batch."""
        return min(FETCH_BYTES * self._batch // MAX_BATCH, self._taker.room_bytes)

    def _is_busy(self) -> bool:
        """Return whether many calls have begun since the last turn."""
        (before, since), (begun, now) = self._seen, (self._calls(), self._clock())
        self._seen = begun, now
        return begun - before > BUSY_CALLS_PER_SECOND * (now - since)

    @property
    def wrong(self) -> frozenset[str]:
        """Keys that have another type than they should."""
        return self._lists.wrong

    @property
    def blocked(self) -> bool:
        """Whether no message can be taken, because a key has another type."""
        return self._lists.blocked

    def close(self) -> None:
        """Put back the messages whose jobs are not on record. If Redis is away, another worker does it later."""
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
        """Give a message to the intake undecoded: it marks the message first, in case decoding crashes the worker."""
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
    """Return the body, because kombu's base64 would hide a PIN from redaction.

    If the body cannot be located, return the raw message without its base64 runs.
    """
    envelope = Envelope.parse(raw)
    return _BASE64.sub(b"[base64]", raw) if isinstance(envelope, Broken) else envelope.body
