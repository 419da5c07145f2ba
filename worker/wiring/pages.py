"""Makes the health pages with what they ask, and connects them."""

from __future__ import annotations

from functools import cached_property, partial

from worker.broker.address import broker_url, broker_variable, redis_url
from worker.broker.connection import Timeouts
from worker.core.accounts import Accounts
from worker.delivery.ports import Destination
from worker.engine.backlog import Backlog
from worker.engine.store_health import StoreHealth
from worker.engine.watchdog import Watchdog
from worker.inbound.depth import QueueDepths
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state.census import Census
from worker.state.write_check import WriteCheck
from worker.telemetry.health import HealthServer
from worker.telemetry.metrics import Metrics
from worker.telemetry.readiness import Readiness
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_state import SharedState

PAGE_SECONDS = 1.5
"""The longest wait of a page's reads for each answer of a server."""

CHECK_SECONDS = 1.0
"""The longest wait of the write check to connect, and for its answer."""


class Pages:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        self._settings, self._accounts = settings, accounts

    @cached_property
    def store_health(self) -> StoreHealth:
        client = connect(redis_url(self._settings), seconds=CHECK_SECONDS)
        return StoreHealth(WriteCheck(client).ask)

    def server(self, metrics: Metrics, watchdog: Watchdog, backlog: Backlog) -> HealthServer:
        """Return the server of /metrics, /livez and /readyz, and fill `metrics` with what it asks at each scrape."""
        client = connect(redis_url(self._settings), seconds=PAGE_SECONDS)
        timeouts = Timeouts(PAGE_SECONDS, PAGE_SECONDS)
        url, queue_type = broker_url(self._settings), self._settings.amqp_queue_type
        depths = QueueDepths(url, queue_type, timeouts=timeouts)
        self._register(metrics, Census(client), depths)
        latest, variable = self.store_health.latest, broker_variable(self._settings)
        ready = Readiness(watchdog, lambda: backlog.refusal, client, latest, depths.read, variable)
        host, port = self._settings.metrics_host, self._settings.metrics_port
        return HealthServer(host, port, metrics.registry, watchdog.live, ready.problems)

    def _register(self, metrics: Metrics, census: Census, depths: QueueDepths) -> None:
        accounts = partial(census.accounts, list(self._accounts))
        known = [Destination(name, key) for name, hook in self._accounts.endpoints() for key in hook.keys]
        endpoints = partial(census.endpoints, known)
        metrics.registry.register(SharedState(metrics, accounts, endpoints, census.unpublished, depths.read))
        metrics.registry.register(ServerState(self.store_health.latest))
