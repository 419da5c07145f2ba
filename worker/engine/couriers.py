"""Webhook threads: deliveries that are due, each on a thread of its own, apart from the calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from worker.delivery.courier import Courier
from worker.delivery.ports import Delivery, DeliveryStore
from worker.loops import Faults

THREADS = 16
POLL_SECONDS = 0.25
_BATCH_MOST = 4


class Couriers:
    """One turn hands what is due to free threads; each thread has a courier of its own."""

    def __init__(self, courier: Callable[[], Courier], store: DeliveryStore, faults: Faults) -> None:
        self._new_courier, self._store, self._faults = courier, store, faults
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._running: set[Future[None]] = set()

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        self._running = {future for future in self._running if not future.done()}
        if len(self._running) >= THREADS:
            return POLL_SECONDS / 5
        deliveries = self._store.take(_BATCH_MOST)
        self._running |= {self._pool.submit(self._deliver, delivery) for delivery in deliveries}
        return 0.0 if deliveries else POLL_SECONDS

    def close(self) -> None:
        """Deliveries under way end by themselves; those that wait for a thread fall due again."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            if not hasattr(self._own, "courier"):
                self._own.courier = self._new_courier()
            self._own.courier.deliver(delivery)
        except Exception as error:  # its lease runs out, and it falls due again
            self._faults.loop_failed("webhook", error)
