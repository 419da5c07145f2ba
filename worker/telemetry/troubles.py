"""Logs what loops and servers suffer: an outage once when it begins and once when it is over, a fault each time."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from worker.errors import BrokerUnavailable, StoreUnavailable, WrongKey
from worker.network.causes import Cause, cause_of
from worker.network.remedies import remedy_of
from worker.redisio.wrong_keys import WrongKeys
from worker.telemetry.metrics import Metrics
from worker.telemetry.outages import Outages

AWAY = {StoreUnavailable: "store.unavailable", BrokerUnavailable: "broker.unavailable"}
BACK = {"store.unavailable": "store.back", "broker.unavailable": "broker.back"}


class Troubles:
    """The loops' `Faults`. Thread-safe."""

    def __init__(
        self, metrics: Metrics, back: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`back` is called when a store or broker that was away has answered one of several loops again."""
        self._metrics, self._back = metrics, back
        self._log = structlog.get_logger(__name__).bind()
        self._outages, self._wrong_keys = Outages(clock), WrongKeys()

    def loop_failed(self, loop: str, error: Exception) -> None:
        """Report the failure of a loop.

        An absent store or broker is logged once for all loops, and once more if it turns out to refuse. A key of the
        store with a wrong type is logged once. A fault of the program itself is logged every time.
        """
        trouble = next((event for kind, event in AWAY.items() if isinstance(error, kind)), None)
        if isinstance(error, WrongKey):
            self._wrong_keys.tell(error)
        elif trouble is None:
            self._outages.end(loop)
            self._metrics.loop_failures.labels(loop).inc()
            self._log.error("loop.failed", loop=loop, exc_info=error)
        elif self._outages.begin(loop, trouble, cause_of(error)):
            self._log.error(trouble, loop=loop, problem=error, **_remedy(trouble, error))

    def loop_recovered(self, loop: str) -> None:
        """Report that a loop got through to a store or broker again. Each such loop wakes the others."""
        trouble, others = self._outages.end(loop)
        if trouble is None:
            self._log.info("loop.recovered", loop=loop)
        elif others:
            self._back()

    def tell_what_is_over(self) -> None:
        """Log each outage that is over for all loops: one that only reads may get through to a server that refuses
        writes."""
        for trouble, seconds in self._outages.over():
            self._log.info(BACK[trouble], seconds=round(seconds, 1))


def _remedy(trouble: str, error: Exception) -> dict[str, str]:
    """Return the log field that says what to do, if the cause is known."""
    variable = "REDIS_URL" if trouble == "store.unavailable" else "BROKER_URL"
    return {} if cause_of(error) is Cause.OTHER else {"remedy": remedy_of(error, variable)}
