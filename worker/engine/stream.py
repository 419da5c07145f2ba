"""Plain JSON jobs from the Redis stream `calls.intake`, for producers in any language."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.engine.intake import Entry, Intake
from worker.errors import StoreUnavailable
from worker.intake import Broken, Request, decode
from worker.ports import Source
from worker.state.scripts import translated

STREAM, GROUP, FIELD = "calls.intake", "callworker", b"job"
BATCH_MOST = 200
IN_HAND_MOST = 1000
BLOCK_MS = 1000
ABANDONED_MS = 30_000
CLAIM_EVERY_TURNS = 10
_STREAM_GONE = ("NOGROUP", "UNBLOCKED")


class StreamIntake:
    """One turn reads new entries, and now and then those that a lost worker had taken; for one thread.

    An entry leaves the stream once its job is on record; until then it stays pending in the group and is claimed by
    another worker half a minute after this one fell silent.
    """

    def __init__(self, client: redis.Redis, intake: Intake) -> None:
        self._client, self._intake = client, intake
        self._consumer = uuid.uuid4().hex
        self._grouped = False
        self._in_hand: set[bytes] = set()
        self._turns = 0

    def turn(self) -> float:
        """Hand over what there is. Raises StoreUnavailable."""
        with translated():
            try:
                self._ensure_group()
                self._take(self._abandoned(), redelivered=True)
                self._take(self._new(), redelivered=False)
            except ResponseError as problem:
                if not str(problem).startswith(_STREAM_GONE):
                    raise
                # The stream was deleted under us; the next turn makes it anew.
                self._grouped = False
        return 0.0 if len(self._in_hand) < IN_HAND_MOST else 0.05

    def _ensure_group(self) -> None:
        if self._grouped:
            return
        try:
            self._client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as problem:
            if not str(problem).startswith("BUSYGROUP"):
                raise
        self._grouped = True

    def _new(self) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        if len(self._in_hand) >= IN_HAND_MOST:
            return []
        reply: Any = self._client.xreadgroup(GROUP, self._consumer, {STREAM: ">"}, BATCH_MOST, BLOCK_MS)
        return [entry for _, entries in reply or () for entry in entries]

    def _abandoned(self) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        self._turns += 1
        if self._turns % CLAIM_EVERY_TURNS != 1:
            return []
        reply: Any = self._client.xautoclaim(STREAM, GROUP, self._consumer, ABANDONED_MS, count=BATCH_MOST)
        # Redis 6 gives an entry that was trimmed from the stream without its id.
        return [entry for entry in reply[1] if entry[0] and entry[0] not in self._in_hand]

    def _take(self, entries: list[tuple[bytes, Mapping[bytes, bytes]]], *, redelivered: bool) -> None:
        for entry_id, fields in entries:
            self._in_hand.add(entry_id)
            raw = (fields or {}).get(FIELD)
            done = partial(self._done, entry_id)
            content = raw if raw is not None else repr(fields).encode()
            self._intake.put(Entry(content, partial(_read, raw), done, Source.STREAM, redelivered))

    def _done(self, entry_id: bytes) -> None:
        """Strike the entry off; if Redis is away it stays pending and its job is found on record later."""
        with suppress(StoreUnavailable), translated(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(STREAM, GROUP, entry_id)
            pipeline.xdel(STREAM, entry_id)
            pipeline.execute()
        self._in_hand.discard(entry_id)


def _read(raw: bytes | None) -> Request | Broken:
    if raw is None:
        return Broken("the entry has no field `job`")
    fields = decode(raw)
    return fields if isinstance(fields, Broken) else Request(fields, Source.STREAM)
