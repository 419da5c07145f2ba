"""Carries recorded events from the outbox to the results queue, in order per account, at least once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from worker.delivery.ports import EventSink, Outbox
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.failpoints import hit

POLL_SECONDS = 1.0
"""How often to look when nobody wakes the relay: what lost workers left behind."""

GATHER_SECONDS = 0.025
"""The pause after a batch, in which the next one gathers: a broker takes many events about as fast as one."""


class Relay:
    """One turn publishes what lies in the outbox; an event is struck off only once the broker has confirmed it."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: EventSink,
        relayed: Callable[[int], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._outbox, self._publisher, self._relayed, self._sleep = outbox, publisher, relayed, sleep

    def turn(self) -> float:
        """Publish what is there, and let the next events gather; seconds until the next look.

        Where nothing is there, the broker is connected to all the same: that it refuses is known before calls are made.
        Raises StoreUnavailable, BrokerUnavailable.
        """
        if not self._carry():
            self._publisher.prepare()
            return POLL_SECONDS
        self._sleep(GATHER_SECONDS)
        return 0.0

    def close(self) -> None:
        """Publish what is left, and strike off what was published; if that cannot be, another relay does it."""
        with suppress(StoreUnavailable, BrokerUnavailable):
            while self._carry():
                pass
        self._publisher.close()

    def _carry(self) -> bool:
        """Publish what is next of all shards, as one batch; False where there was nothing."""
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
        self._relayed(len(events))
        hit("relay.after")
        return True
