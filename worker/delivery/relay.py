"""Carries events from the outbox to the results queue: in order for each account, and at least once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from worker.delivery.ports import EventSink, Outbox, OutgoingEvent
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.failpoints import hit

POLL_SECONDS = 0.75
"""The pause between two turns if nobody wakes the relay. Lost workers may have left events."""

GATHER_SECONDS = 0.025
"""The pause after a batch, in which the next one collects: a broker takes many events about as fast as one."""


class Relay:
    """One turn publishes the events in the outbox. An event is removed only after the broker has confirmed it."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: EventSink,
        relayed: Callable[[Sequence[OutgoingEvent]], None],
        sleep: Callable[[float], None] = time.sleep,
        *,
        waits: Callable[[], bool] = lambda: True,
    ) -> None:
        """`relayed` is called with the events that the broker has confirmed; `waits` tells if there may be an event."""
        self._waits = waits
        self._outbox, self._publisher, self._relayed, self._sleep = outbox, publisher, relayed, sleep

    def turn(self) -> float:
        """Publish what is there; return the seconds until the next turn.

        Connects to the broker even if there is no event, so that a refusal is known before calls are made. Raises
        StoreUnavailable and BrokerUnavailable.
        """
        if not (self._waits() and self._carry()):
            self._publisher.prepare()
            return POLL_SECONDS
        self._sleep(GATHER_SECONDS)
        return 0.0

    def close(self) -> None:
        """Publish what is left, and remove what was published. If that fails, another relay does it."""
        with suppress(StoreUnavailable, BrokerUnavailable):
            while self._carry():
                pass
        self._publisher.close()

    def _carry(self) -> bool:
        """Publish the next events of all shards as one batch. Returns False if there were none."""
        batches = self._outbox.next()
        if not batches:
            return False
        events = [event for batch in batches.values() for event in batch]
        hit("relay.before")
        self._publisher.publish(events)
        hit("confirm.before")
        for shard, batch in batches.items():
            self._outbox.published(shard, len(batch))
        hit("confirm.after")
        self._relayed(events)
        hit("relay.after")
        return True
