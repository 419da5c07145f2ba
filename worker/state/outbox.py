"""The outbox in Redis: events that are on record and not yet confirmed by the results queue."""

from __future__ import annotations

import secrets

from worker.delivery.ports import OutgoingEvent
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys


class RedisOutbox:
    """Implements `delivery.ports.Outbox` for one relay, over all shards; for one thread.

    A shard's outbox has one owner at a time, so the events of one account leave in order. A relay owns it until
    `own_seconds` after it last reported events published. After a crash or a longer pause, the next owner publishes
    again what was not reported: subscribers may see repeats. `most` bounds the events of one shard in a batch.
    """

    def __init__(self, scripts: Scripts, *, own_seconds: float = 10.0, most: int = 200) -> None:
        self._scripts, self._own_ms, self._most = scripts, int(own_seconds * 1000), most
        self._token = secrets.token_hex(8)
        self._published = [0] * keys.layout().shards

    def next(self) -> dict[int, list[OutgoingEvent]]:
        """Remove what was reported with `published`; return the next events by shard, in order. Takes one round trip.

        Raises StoreUnavailable, but not while a part of the store answers. What was reported to a part that does not is
        forgotten, and its events come again.
        """
        reported, self._published = self._published, [0] * keys.layout().shards
        shards = {prefix: shard for shard, prefix in enumerate(keys.prefixes())}
        groups = self._scripts.groups([*shards])
        replies = self._scripts.run_parts([
            ScriptCall("relay", some, [
                self._token, self._own_ms, self._most, *(reported[shards[prefix]] for prefix in some)
            ])
            for some in groups
        ])  # fmt: skip
        return {
            shards[prefix]: [_event(row) for row in batch]
            for some, batches in zip(groups, replies, strict=True)
            if not isinstance(batches, StoreUnavailable)
            for prefix, batch in zip(some, batches, strict=True)
            if batch
        }

    def published(self, shard: int, count: int) -> None:
        """Report that the first `count` events of the last batch of `shard` are confirmed; `next` passes it on."""
        self._published[shard] = count


def _event(row: bytes) -> OutgoingEvent:
    kind, _, body = row.partition(b" ")
    return OutgoingEvent(kind.decode(), body.decode())
