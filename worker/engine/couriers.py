"""Webhook threads: deliveries that are due, each on a thread of its own, apart from the calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from worker.delivery.courier import Courier
from worker.delivery.ports import Delivery, DeliveryStore
from worker.engine.loops import Faults
from worker.engine.pool import Pool

THREADS = 16
POLL_SECONDS = 0.25


class Couriers:
    """One turn hands what is due to free threads; each thread has a courier of its own."""

    def __init__(self, courier: Callable[[], Courier], store: DeliveryStore, faults: Faults) -> None:
        self._new_courier, self._store, self._faults = courier, store, faults
        self._own = threading.local()
        self._pool = Pool(THREADS, "webhook")

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        free = self._pool.free
        if not free:
            return POLL_SECONDS / 5
        deliveries = self._store.take(free)
        for delivery in deliveries:
            self._pool.submit(partial(self._deliver, delivery))
        return 0.0 if deliveries else POLL_SECONDS

    def _deliver(self, delivery: Delivery) -> None:
        try:
            if not hasattr(self._own, "courier"):
                self._own.courier = self._new_courier()
            self._own.courier.deliver(delivery)
        except Exception as error:  # its lease runs out, and it falls due again
            self._faults.loop_failed("webhook", error)
