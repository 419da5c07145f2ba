"""The outbox in Redis: events that are on record and not yet confirmed by the results queue."""

from __future__ import annotations

import secrets

from worker.delivery.ports import OutgoingEvent
from worker.redisio.runner import ScriptCall, Scripts
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

        Raises StoreUnavailable; what was reported is then forgotten, and its events come again.
        """
        reported, self._published = self._published, [0] * keys.layout().shards
        args: list[str | int] = [self._token, self._own_ms, self._most, *reported]
        batches = self._scripts.run(ScriptCall("relay", keys.prefixes(), args))
        return {n: [_event(row) for row in batch] for n, batch in enumerate(batches) if batch}

    def published(self, shard: int, count: int) -> None:
        """Report that the first `count` events of the last batch of `shard` are confirmed; `next` passes it on."""
        self._published[shard] = count


def _event(row: bytes) -> OutgoingEvent:
    kind, _, body = row.partition(b" ")
    return OutgoingEvent(kind.decode(), body.decode())
