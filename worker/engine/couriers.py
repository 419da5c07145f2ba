"""Webhook deliveries that are due: each in a greenlet of the courier thread, apart from the calls."""

from __future__ import annotations

import threading
from functools import partial

from worker.delivery.courier import Courier
from worker.delivery.ports import Delivery, DeliveryStore
from worker.engine.greenlets import Greenlets
from worker.engine.loops import Faults

MAX_DELIVERIES = 16
POLL_SECONDS = 0.25


class Couriers:
    """One turn leases the deliveries that are due, as many as there are free places, and has them begun."""

    def __init__(
        self, courier: Courier, store: DeliveryStore, faults: Faults, places: int = MAX_DELIVERIES
    ) -> None:
        """`places`: the most deliveries in flight. `courier` serves all of them at once."""
        self._courier, self._store, self._faults = courier, store, faults
        self._free, self._lock = places, threading.Lock()
        self.thread = Greenlets("webhook")

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        if not self._free:
            return POLL_SECONDS / 5
        deliveries = self._store.take(self._free)
        self._count(-len(deliveries))
        for delivery in deliveries:
            self.thread.submit(partial(self._deliver, delivery))
        return 0.0 if deliveries else POLL_SECONDS

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._courier.deliver(delivery)
        except Exception as error:  # its lease runs out, and it falls due again
            self._faults.loop_failed("webhook", error)
        finally:
            self._count(1)

    def _count(self, freed: int) -> None:
        with self._lock:
            self._free += freed
