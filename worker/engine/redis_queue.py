"""Celery messages from a Redis broker, for the intake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import redis

from worker.broker.redis_lists import Filed, RedisLists
from worker.engine.intake import Entry, Intake
from worker.engine.messages import Envelope, read_task
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.intake import Broken
from worker.ports import Source
from worker.queues import CALLS
from worker.state.scripts import translated

BATCH_MOST = 256
IN_HAND_MOST = 1024
IDLE_SECONDS = 0.005
"""How long a new message may lie when nothing else goes on: half of it, on average."""

ABANDONED_SECONDS = 60.0
RESTORE_EVERY_TURNS = 1000


class RedisQueue:
    """One turn acknowledges what is on record and fetches more; for one thread.

    What this worker took and did not acknowledge, because it died, another puts back a minute later.
    """

    def __init__(self, client: redis.Redis, intake: Intake) -> None:
        self._lists = RedisLists(client, [CALLS.name], CALLS.name)
        self._intake = intake
        self._lock = threading.Lock()
        self._in_hand: set[str] = set()
        self._done: list[str] = []
        self._turns = 0

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable; what was to be acknowledged is kept."""
        done = self._take_done()
        try:
            with translated():
                self._restore_now_and_then()
                hit("fetch.before")
                filed = self._lists.fetch(min(BATCH_MOST, max(IN_HAND_MOST - len(self._in_hand), 0)), done)
        except StoreUnavailable:
            self._acknowledge(done)
            raise
        hit("fetch.after")
        self._in_hand.difference_update(done)
        self._hand_over(filed)
        return 0.0 if len(filed) == BATCH_MOST else IDLE_SECONDS

    def close(self) -> None:
        """Hand back what is not on record. What cannot be said now, because Redis is away, is restored later."""
        done = self._take_done()
        try:
            with translated():
                self._lists.hand_back(done, self._in_hand.difference(done))
        except StoreUnavailable:
            return

    def _take_done(self) -> list[str]:
        with self._lock:
            done, self._done = self._done, []
        return done

    def _acknowledge(self, tags: Sequence[str]) -> None:
        with self._lock:
            self._done += tags

    def _restore_now_and_then(self) -> None:
        if self._turns % RESTORE_EVERY_TURNS == 0:
            self._lists.restore_older_than(ABANDONED_SECONDS)
        self._turns += 1

    def _hand_over(self, filed: Sequence[Filed]) -> None:
        for message in filed:
            self._in_hand.add(message.tag)
            done = partial(self._acknowledge, [message.tag])
            self._intake.put(_entry(message, done))


def _entry(message: Filed, done: Callable[[], None]) -> Entry:
    """The body alone goes on: kombu's base64 around it would hide a PIN from redaction."""
    envelope = Envelope.parse(message.raw)
    if isinstance(envelope, Broken):
        return Entry(message.raw, lambda: envelope, done, Source.CELERY, message.restored)
    return Entry(envelope.body, partial(read_task, envelope), done, Source.CELERY, message.restored)
