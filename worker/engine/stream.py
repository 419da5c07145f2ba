"""Plain JSON jobs from the Redis stream `calls.intake`, for producers in any language."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.broker.lua import source
from worker.engine.entry import Entry
from worker.engine.intake import Intake
from worker.engine.upkeep import ABANDONED_SECONDS, Upkeep
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.intake import Broken, Request, decode
from worker.ports import Source
from worker.state.scripts import Call, Scripts, translated

STREAM, GROUP, FIELD = "calls.intake", "callworker", b"job"
BATCH_MOST = 200
IN_HAND_MOST = 1000
BLOCK_MS = 1000
ABANDONED_MS = int(ABANDONED_SECONDS * 1000)
LOST_CONSUMER_MS = 3_600_000
_START = b"0-0"
_STREAM_GONE = ("NOGROUP", "UNBLOCKED")


class StreamIntake:
    """One turn reads new entries, and now and then those that a lost worker had taken; for one thread.

    An entry leaves the stream once its job is on record; until then it stays pending in the group, and another worker
    claims it when this one has not kept it for `ABANDONED_SECONDS`; see `Upkeep`. Each worker is a consumer of the
    group under a name of its own, which is removed when it closes, or, if it was killed, by another one an hour later.
    """

    def __init__(
        self, client: redis.Redis, intake: Intake, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._intake, self._upkeep = client, intake, Upkeep(clock)
        self._consumer = uuid.uuid4().hex
        self._grouped = False
        self._in_hand: set[bytes] = set()
        self._cursor = _START
        self._scripts = Scripts(client, source)

    def turn(self) -> float:
        """Hand over what there is. Raises StoreUnavailable."""
        try:
            with translated():
                self._read()
        except Exception:
            self._upkeep.interrupted()
            raise
        return 0.05 if self._full else 0.0

    @property
    def _full(self) -> bool:
        return len(self._in_hand) >= IN_HAND_MOST or self._intake.stuck

    def close(self) -> None:
        """Leave the group. What is not on record others may claim at once; then one of them removes this consumer.

        What cannot be said now, because Redis is away, they find out by themselves.
        """
        with suppress(StoreUnavailable):
            self._set_idle(ABANDONED_MS)
            self._forget_consumers(self._consumer)

    def _read(self) -> None:
        try:
            self._ensure_group()
            self._upkeep.turn(self._keep, self._take_over)
            self._take(self._new(), redelivered=False)
        except ResponseError as problem:
            if not str(problem).startswith(_STREAM_GONE):
                raise
            # The stream was deleted under us; the next turn makes it anew.
            self._grouped = False

    def _ensure_group(self) -> None:
        if self._grouped:
            return
        try:
            self._client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as problem:
            if not str(problem).startswith("BUSYGROUP"):
                raise
        self._grouped = True

    def _keep(self) -> None:
        if not self._intake.stuck:
            self._set_idle(0)

    def _set_idle(self, idle_ms: int) -> None:
        """Have what is in hand count as untouched for so long."""
        self._scripts.run(Call("set_idle", STREAM, [GROUP, self._consumer, idle_ms, *self._in_hand]))

    def _forget_consumers(self, leaving: str) -> None:
        self._scripts.run(Call("forget_consumers", STREAM, [GROUP, LOST_CONSUMER_MS, leaving]))

    def _take_over(self) -> bool:
        """Claim what is abandoned, up to a batch; False while there may be more."""
        self._forget_consumers("")
        if self._full:
            return True
        reply: Any = self._client.xautoclaim(
            STREAM, GROUP, self._consumer, ABANDONED_MS, self._cursor, count=BATCH_MOST
        )
        self._cursor = reply[0]
        # Redis 6 gives an entry that was trimmed from the stream without its id.
        self._take(
            [entry for entry in reply[1] if entry[0] and entry[0] not in self._in_hand], redelivered=True
        )
        return bool(self._cursor == _START)

    def _new(self) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        if self._full:
            return []
        hit("fetch.before")
        reply: Any = self._client.xreadgroup(GROUP, self._consumer, {STREAM: ">"}, BATCH_MOST, BLOCK_MS)
        return [entry for _, entries in reply or () for entry in entries]

    def _take(self, entries: list[tuple[bytes, Mapping[bytes, bytes]]], *, redelivered: bool) -> None:
        if entries:
            hit("fetch.after")
        for entry_id, fields in entries:
            self._in_hand.add(entry_id)
            raw = (fields or {}).get(FIELD)
            done = partial(self._done, entry_id)
            content = raw if raw is not None else repr(fields).encode()
            self._intake.put(Entry(content, partial(_content, raw), done, Source.STREAM, redelivered))

    def _done(self, entry_id: bytes) -> None:
        """Strike the entry off; if Redis is away it stays pending and its job is found on record later."""
        with suppress(StoreUnavailable), translated(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(STREAM, GROUP, entry_id)
            pipeline.xdel(STREAM, entry_id)
            pipeline.execute()
        self._in_hand.discard(entry_id)


def _content(raw: bytes | None) -> Request | Broken:
    if raw is None:
        return Broken("the entry has no field `job`")
    fields = decode(raw)
    return fields if isinstance(fields, Broken) else Request(fields, Source.STREAM)
