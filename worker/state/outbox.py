"""The outbox: events that are on record and not yet confirmed by the results queue."""

from __future__ import annotations

import secrets

from worker.core.shards import SHARDS
from worker.delivery.ports import OutgoingEvent
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys


class RedisOutbox:
    """Implements `delivery.ports.Outbox`: one relay's view of all shards' outboxes; for one thread.

    A shard's outbox has one owner at a time, for `own_seconds` from its last word, so events of one account leave in
    order. After a crash, or a pause longer than that, the next owner publishes again what was not struck off.
    """

    def __init__(self, scripts: Scripts, *, own_seconds: float = 10.0, most: int = 200) -> None:
        self._scripts, self._own_ms, self._most = scripts, int(own_seconds * 1000), most
        self._token = secrets.token_hex(8)
        self._published = [0] * SHARDS

    def next(self) -> dict[int, list[OutgoingEvent]]:
        """What to publish now, by shard, in order; strikes off what `published` was told. Raises StoreUnavailable."""
        told, self._published = self._published, [0] * SHARDS
        args: list[str | int] = [self._token, self._own_ms, self._most, *told]
        batches = self._scripts.run(ScriptCall("relay", keys.prefixes(), args))
        return {n: [_recorded(row) for row in batch] for n, batch in enumerate(batches) if batch}

    def published(self, shard: int, count: int) -> None:
        """The first `count` events of the batch last given for `shard` are confirmed."""
        self._published[shard] = count


def _recorded(row: bytes) -> OutgoingEvent:
    kind, _, body = row.partition(b" ")
    return OutgoingEvent(kind.decode(), body.decode())
