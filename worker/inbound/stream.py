"""Takes plain JSON jobs from the Redis stream `calls.intake`, for producers in any language."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import redis

from worker.broker.queues import INTAKE
from worker.core.judging import MAX_MESSAGE_BYTES, TOO_LARGE, Broken, Submission, decode, plain
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.inbound.entry import Entry, Taker
from worker.inbound.listening import Listening
from worker.inbound.lua import source
from worker.inbound.redis_lists import FETCH_BYTES, HEAD_BYTES, uncut
from worker.inbound.upkeep import ABANDONED_SECONDS, Upkeep
from worker.redisio.bell import Bell
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors

STREAM, GROUP, FIELD = INTAKE.name, "callworker", "job"
MAX_BATCH = 200
MAX_IN_HAND = 1000
LISTEN_SECONDS = 1.0
IDLE_SECONDS, BUSY_SECONDS, WRONG_SECONDS = 0.004, 0.02, 1.0
"""The pause between two turns: without entries in hand, with entries in hand, and while the key has another type."""
LOST_CONSUMER_SECONDS = 3600.0
"""A consumer that has been idle this long, with nothing pending, belongs to a lost worker."""
_START = b"0-0"


class StreamSource:
    """A source: one turn takes new entries and, every few seconds, the entries of lost workers. For one thread.

    An entry leaves the stream once its job is on record. Until then it is pending in the group, and another worker
    claims it if this one has not kept it for `ABANDONED_SECONDS`, see `Upkeep`. Each worker is a consumer of the group
    under a name of its own. The consumer is removed when the worker closes; if the worker was killed, another one
    removes it an hour later. `wrong` names the stream while its key has another type.
    """

    def __init__(
        self,
        client: redis.Redis,
        taker: Taker,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_batch: int = MAX_BATCH,
        max_in_hand: int = MAX_IN_HAND,
        listen_seconds: float = LISTEN_SECONDS,
        abandoned_seconds: float = ABANDONED_SECONDS,
        lost_consumer_seconds: float = LOST_CONSUMER_SECONDS,
    ) -> None:
        self._client, self._taker, self._upkeep = client, taker, Upkeep(clock)
        self._max_batch, self._max_in_hand = max_batch, max_in_hand
        self._abandoned_ms = round(abandoned_seconds * 1000)
        self._lost_consumer_ms = round(lost_consumer_seconds * 1000)
        self._consumer = uuid.uuid4().hex
        self._in_hand: set[bytes] = set()
        self._cursor = _START
        self._batch, self._saw_all = max_batch, False
        self._scripts = Scripts(client, source)
        self._listening = Listening(Bell(client, STREAM), listen_seconds, clock)
        self.wrong: frozenset[str] = frozenset()

    def turn(self) -> float:
        """Take entries once; return the seconds until the next turn. Raises StoreUnavailable."""
        try:
            asks = self._is_active or self._listening.listen(patient=self._saw_all)
            self._upkeep.turn(self._keep, self._take_over)
            more = asks and self._take_new()
        except Exception:
            self._batch = max(self._batch // 2, 1)
            self._upkeep.interrupted()
            self._listening.stir()
            raise
        self._batch = min(self._batch * 2, self._max_batch)
        if more:
            return 0.0
        return WRONG_SECONDS if self.wrong else BUSY_SECONDS if self._is_active else IDLE_SECONDS

    @property
    def blocked(self) -> bool:
        """Whether no entry can be taken, because the key has another type."""
        return bool(self.wrong)

    def close(self) -> None:
        """Leave the group. Other workers may claim at once the entries whose jobs are not on record.

        One of them removes this consumer then. If Redis is away, they find out by the idle times.
        """
        self._listening.close()
        with suppress(StoreUnavailable):
            self._set_idle(self._abandoned_ms)
            self._forget_consumers(self._consumer)

    def _keep(self) -> None:
        if not self._taker.stuck:
            self._set_idle(0)

    def _set_idle(self, idle_ms: int) -> None:
        """Make the entries in hand count as left alone for `idle_ms`."""
        self._scripts.run(ScriptCall("set_idle", STREAM, [GROUP, self._consumer, idle_ms, *self._in_hand]))

    def _forget_consumers(self, leaving: str) -> None:
        self._scripts.run(ScriptCall("forget_consumers", STREAM, [GROUP, self._lost_consumer_ms, leaving]))

    def _take_over(self) -> bool:
        """Claim abandoned entries, up to a batch. Returns False while there may be more."""
        self._forget_consumers("")
        if self._is_full:
            return True
        self._take(self._abandoned_ms, redelivered=True)
        return bool(self._cursor == _START)

    def _take_new(self) -> bool:
        """Take new entries. Returns whether there may be more now."""
        self._saw_all = not self._is_full
        if self._is_full:
            return False
        hit("fetch.before")
        return self._take("", redelivered=False)

    @property
    def _is_active(self) -> bool:
        """Whether there are entries in hand besides those that wait for a part of the store, which may be for long."""
        return len(self._in_hand) > self._taker.put_off

    @property
    def _is_full(self) -> bool:
        most = self._max_in_hand + self._taker.put_off
        return len(self._in_hand) >= most or self._taker.room_bytes <= 0

    def _take(self, idle_ms: int | str, *, redelivered: bool) -> bool:
        """Take new entries (`idle_ms` "") or abandoned ones. Returns whether there may be more now."""
        most_bytes = min(FETCH_BYTES * self._batch // self._max_batch, self._taker.room_bytes)
        bounds = (self._batch, most_bytes, MAX_MESSAGE_BYTES, HEAD_BYTES)
        arguments = [GROUP, self._consumer, FIELD, *bounds, idle_ms, self._cursor]
        entries, wrong, cursor, more = self._scripts.run(ScriptCall("take", STREAM, arguments))
        self._cursor = cursor
        self.wrong = frozenset(key.decode() for key in wrong)
        fresh = [entry for entry in entries if entry[0] not in self._in_hand]
        if fresh:
            self._listening.stir()
            hit("fetch.after")
        for entry_id, is_job, text in fresh:
            self._hand_over(entry_id, text, bool(is_job), redelivered)
        return bool(more)

    def _hand_over(self, entry_id: bytes, text: bytes, is_job: bool, redelivered: bool) -> None:
        self._in_hand.add(entry_id)
        raw, cut = uncut(text)
        read = partial(_content, raw if is_job else None) if cut is None else _too_large
        done = partial(self._done, entry_id)
        self._taker.put(Entry(raw, read, done, Source.STREAM, redelivered, label=entry_id, cut=cut))

    def _done(self, entry_id: bytes) -> None:
        """Remove the entry. If Redis is away it stays pending; the worker that claims it finds its job on record."""
        with suppress(StoreUnavailable), store_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(STREAM, GROUP, entry_id)
            pipeline.xdel(STREAM, entry_id)
            pipeline.execute()
        self._in_hand.discard(entry_id)


def _content(raw: bytes | None) -> Submission | Broken:
    if raw is None:
        return Broken("the entry must have one field `job`")
    fields = decode(raw)
    return fields if isinstance(fields, Broken) else plain(fields, Source.STREAM)


def _too_large() -> Broken:
    return TOO_LARGE
