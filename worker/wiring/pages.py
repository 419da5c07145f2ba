"""Makes the health pages with what they ask, and connects them."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection
from functools import cached_property

from worker import __version__
from worker.broker.address import broker_url, broker_variable, redis_url, separate_redis_broker
from worker.broker.connection import Timeouts, over_amqp
from worker.broker.redis_write_check import RedisWriteCheck
from worker.broker.write_check import WriteCheck as BrokerWriteCheck
from worker.core.current import CurrentAccounts
from worker.core.figures import BrokerFacts, StoreFacts
from worker.core.fleet import Report
from worker.core.records import Pause
from worker.delivery.ports import Destination
from worker.engine.backlog import Backlog
from worker.engine.dialler import Dialler
from worker.engine.draining import Draining
from worker.engine.memory_log import MemoryLog
from worker.engine.presence import Presence
from worker.engine.server_health import ServerHealth
from worker.engine.watchdog import Watchdog
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.inbound.depth import QueueDepths
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import write_check
from worker.state.census import Census
from worker.state.memory import RedisMemory
from worker.state.workers import RedisWorkers
from worker.telemetry.fleet import FleetState
from worker.telemetry.health import HealthServer
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import Question
from worker.telemetry.readiness import Readiness, Server
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_state import KEPT_SECONDS, SharedState, Stored

PAGE_SECONDS = 1.5
"""The longest wait of a page's reads for each answer of a server."""

MAX_PROBLEM = 300
"""Characters of a problem that other machines are told of."""

CHECK_SECONDS = 1.0
"""The longest wait of the write check to connect, and for its answer."""


class Pages:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(self, settings: Settings, accounts: CurrentAccounts) -> None:
        self._settings, self._accounts = settings, accounts

    @cached_property
    def workers(self) -> RedisWorkers:
        return RedisWorkers(connect(redis_url(self._settings), seconds=CHECK_SECONDS))

    @cached_property
    def store_health(self) -> ServerHealth[StoreFacts]:
        url, replicas = redis_url(self._settings), self._settings.redis_replicas
        client = connect(url, seconds=CHECK_SECONDS, replicas=replicas)
        stale = StoreFacts(StoreUnavailable("Redis was not asked for a while"))
        return ServerHealth(write_check.WriteCheck(client).ask, stale)

    @cached_property
    def broker_health(self) -> ServerHealth[BrokerFacts] | None:
        """None for a broker that is the store too, or whose transport only kombu knows."""
        check = self._broker_check
        stale = BrokerFacts(BrokerUnavailable("the broker was not asked for a while"))
        return ServerHealth(check.ask, stale) if check else None

    @property
    def _broker_check(self) -> BrokerWriteCheck | RedisWriteCheck | None:
        if own := separate_redis_broker(self._settings):
            replicas = self._settings.redis_replicas
            return RedisWriteCheck(
                connect(own, variable="BROKER_URL", seconds=CHECK_SECONDS, replicas=replicas)
            )
        url = broker_url(self._settings)
        return BrokerWriteCheck(url) if over_amqp(url) else None

    def presence(
        self, dialler: Dialler, backlog: Backlog, draining: Draining, refuses: Callable[[], str]
    ) -> Presence:
        """`refuses` says why this worker does not use its accounts file as it is now; empty if it does."""
        host = platform.node()

        def report() -> Report:
            paused = bool(backlog.pauses or draining.pauses) or self.store_health.problem() is not None
            file, refused = self._accounts.now.digest, refuses()[:MAX_PROBLEM]
            return Report(
                dialler.places, dialler.used, paused, host, __version__, file, refused, draining.drained
            )

        return Presence(self.workers, report, serving=self.memory_log.turn)

    @cached_property
    def memory_log(self) -> MemoryLog:
        client = connect(redis_url(self._settings), seconds=CHECK_SECONDS)
        return MemoryLog(RedisMemory(client), self.store_health.latest, self.redis_clock)

    def redis_clock(self) -> float:
        """Return the time by Redis' clock (Unix seconds), as far as is known; else by this machine's."""
        facts = self.store_health.latest()
        return time.time() - (facts.clock_ahead_seconds or 0.0 if facts else 0.0)

    @property
    def checks(self) -> dict[str, Callable[[], float]]:
        """The turns that ask whether the servers take writes, by the names of their threads."""
        checks = {"store-check": self.store_health.turn}
        return checks | ({"broker-check": self.broker_health.turn} if self.broker_health else {})

    def server(
        self, metrics: Metrics, watchdog: Watchdog, backlog: Backlog, draining: Draining, presence: Presence
    ) -> HealthServer:
        """Return the server of /metrics, /livez and /readyz, and fill `metrics` with what it asks at each scrape."""
        client = connect(redis_url(self._settings), seconds=PAGE_SECONDS)
        timeouts = Timeouts(PAGE_SECONDS, PAGE_SECONDS)
        url, queue_type = broker_url(self._settings), self._settings.amqp_queue_type
        depths = QueueDepths(url, queue_type, timeouts=timeouts)
        self._register(metrics, Census(client), depths, lambda: backlog.pauses | draining.pauses, presence)
        servers = self._servers(client.ping, depths.read)
        ready = Readiness(watchdog, lambda: backlog.trouble, servers, lambda: presence.begun)
        host, port = self._settings.metrics_host, self._settings.metrics_port
        return HealthServer(host, port, metrics.registry, watchdog.live, ready.problems)

    def _servers(self, ask_store: Callable[[], object], ask_broker: Callable[[], object]) -> list[Server]:
        variable = broker_variable(self._settings)
        broker_problem = self.broker_health.problem if self.broker_health else lambda: None
        return [
            Server("Redis", "REDIS_URL", ask_store, self.store_health.problem),
            Server("the broker", variable, ask_broker, broker_problem),
        ]

    def _destinations(self) -> list[Destination]:
        return [Destination(name, key) for name, hook in self._accounts.now.endpoints() for key in hook.keys]

    def _register(
        self,
        metrics: Metrics,
        census: Census,
        depths: QueueDepths,
        pauses: Callable[[], Collection[Pause]],
        presence: Presence,
    ) -> None:
        # Two collectors need the counts, and one answer serves both.
        counted = Question(lambda: census.accounts(list(self._accounts.known)), KEPT_SECONDS)
        metrics.registry.register(
            SharedState(
                metrics,
                lambda: Stored(
                    counted.begin().result(),
                    census.endpoints(self._destinations()),
                    census.unpublished(),
                    census.dead_letters(),
                    census.shards_away(),
                ),
                census.unpublished,
                depths.read,
                ttls=lambda: {name: account.ttl for name, account in self._accounts.known.items()},
                serves=presence.serves,
            )
        )
        fleet = FleetState(
            presence.report,
            presence.serves,
            self.workers.fleet,
            # No worker can dial for an account that is gone.
            lambda: [one for one in counted.begin().result() if one.name in self._accounts.now],
            self.memory_log.full_in_seconds,
        )
        metrics.registry.register(fleet)
        told = self.broker_health.latest if self.broker_health else BrokerFacts
        metrics.registry.register(ServerState(self.store_health.latest, told, pauses))
