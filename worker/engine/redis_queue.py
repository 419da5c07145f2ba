"""Celery messages from a Redis broker, for the intake."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import redis

from worker.broker.bell import Bell
from worker.broker.redis_lists import RESTORE_MOST, Filed, RedisLists
from worker.engine.entry import Entry
from worker.engine.intake import Intake
from worker.engine.messages import Envelope, read_task
from worker.engine.upkeep import ABANDONED_SECONDS, Upkeep
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.intake import MESSAGE_BYTES_MOST, Broken, Request
from worker.ports import Source
from worker.queues import CALLS, TASK_QUEUES

BATCH_MOST = 256
IN_HAND_MOST = 512
"""All of them lie before a message that comes now, whoever sent them; two batches keep the intake busy."""
IDLE_SECONDS = 0.004
"""How long a new message may lie when nothing else goes on: half of it, on average."""
QUIET_SECONDS, LISTEN_SECONDS = 0.01, 0.25
"""After the first without a message the worker no longer looks, but listens, for the second at a time."""

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
        intake: Intake,
        calls: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calls`: how many the process has begun so far."""
        self._lists = RedisLists(client, [queue.name for queue in TASK_QUEUES], CALLS.name)
        self._intake, self._upkeep, self._calls, self._clock = intake, Upkeep(clock), calls, clock
        self._seen, self._stirred = (calls(), clock()), clock()
        self._bell = Bell(client, CALLS.name)
        self._lock = threading.Lock()
        self._in_hand: set[bytes] = set()
        self._done: list[bytes] = []

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable; what was to be acknowledged is kept."""
        busy, done = self._is_busy(), self._take_done()
        try:
            if not done:
                self._listen()
            self._upkeep.turn(self._keep, self._restore)
            hit("fetch.before")
            room = self._room()
            filed = self._lists.fetch(room, done)
        except Exception:
            self._acknowledge(done)
            self._upkeep.interrupted()
            self._stir()
            raise
        self._in_hand.difference_update(done)
        if filed:
            self._stir()
            hit("fetch.after")
        for message in filed:
            self._hand_over(message, *_content(message))
        if len(filed) == BATCH_MOST:
            return 0.0
        return IDLE_SECONDS if room and not busy else BUSY_SECONDS

    def _room(self) -> int:
        return 0 if self._intake.stuck else min(BATCH_MOST, max(IN_HAND_MOST - len(self._in_hand), 0))

    def _listen(self) -> None:
        """In a quiet time, wait for the bell; between its being hung and the first wait there is a look."""
        if self._in_hand or self._clock() - self._stirred < QUIET_SECONDS:
            return
        if not self._bell.hung:
            self._bell.hang()
        elif self._bell.wait(LISTEN_SECONDS):
            self._stir()

    def _stir(self) -> None:
        """The quiet is over: look often. A bell that has not rung although something came is no good either."""
        self._stirred = self._clock()
        self._bell.take_down()

    def _is_busy(self) -> bool:
        """Whether many calls have begun since the last look."""
        (before, since), (begun, now) = self._seen, (self._calls(), self._clock())
        self._seen = begun, now
        return begun - before > BUSY_CALLS_PER_SECOND * (now - since)

    def close(self) -> None:
        """Hand back what is not on record. What cannot be said now, because Redis is away, is restored later."""
        done = self._take_done()
        self._bell.take_down()
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
        if not self._intake.stuck:
            self._lists.keep(self._in_hand)

    def _restore(self) -> bool:
        messages, unreadable = self._lists.restore_older_than(ABANDONED_SECONDS)
        for message in unreadable:
            self._hand_over(message, _shown(message.raw), _unreadable)
        return messages + len(unreadable) < RESTORE_MOST

    def _hand_over(self, message: Filed, raw: bytes, read: Callable[[], Request | Broken]) -> None:
        self._in_hand.add(message.tag)
        done = partial(self._acknowledge, [message.tag])
        self._intake.put(Entry(raw, read, done, Source.CELERY, message.restored))


def _content(message: Filed) -> tuple[bytes, Callable[[], Request | Broken]]:
    """The body alone goes on: kombu's base64 around it would hide a PIN from redaction."""
    envelope = Envelope.parse(message.raw)
    if isinstance(envelope, Broken):
        return _shown(message.raw), lambda: envelope
    return envelope.body, partial(read_task, envelope)


def _unreadable() -> Broken:
    return Broken("filed as unacknowledged in a form that cannot be read")


def _shown(raw: bytes) -> bytes:
    """Of a message whose body cannot be told from the rest, what may hide no PIN."""
    return _BASE64.sub(b"[base64]", raw[: 2 * MESSAGE_BYTES_MOST])
