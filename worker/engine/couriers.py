"""Runs the webhook deliveries that are due, each in a greenlet of the webhook thread, apart from the calls."""

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
    """One turn leases the deliveries that are due, as many as there are free places, and begins them."""

    def __init__(
        self, courier: Courier, store: DeliveryStore, faults: Faults, places: int = MAX_DELIVERIES
    ) -> None:
        """`places` is the most deliveries in flight. `courier` serves all of them at once."""
        self._courier, self._store, self._faults = courier, store, faults
        self._free, self._lock = places, threading.Lock()
        self.thread = Greenlets("webhook")

    def turn(self) -> float:
        """Begin what is due; return the seconds until the next turn. Raises StoreUnavailable."""
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
        except Exception as error:  # the delivery's lease runs out, and it is due again
            self._faults.loop_failed("webhook", error)
        finally:
            self._count(1)

    def _count(self, freed: int) -> None:
        with self._lock:
            self._free += freed
