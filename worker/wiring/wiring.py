"""Makes all parts of one worker, and connects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property

import redis

from worker.broker.address import broker_url, redis_broker, redis_url
from worker.core.current import CurrentAccounts
from worker.core.ports import Provider
from worker.core.settling import Settler
from worker.core.verify import Calls, Overdue, Reception
from worker.delivery.ports import OutgoingEvent
from worker.delivery.relay import Relay
from worker.delivery.results import ResultsQueue
from worker.engine.accounts_watch import AccountsWatch
from worker.engine.backlog import Backlog
from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.couriers import Couriers
from worker.engine.declared_limits import DeclaredLimits
from worker.engine.dialler import Dialler
from worker.engine.draining import Draining
from worker.engine.engine import Deadline, Engine
from worker.engine.greenlets import GivingWay
from worker.engine.intake import Intake
from worker.engine.keeper import Keeper, LeasesInHand
from worker.engine.lookout import Lookout
from worker.engine.loops import Loop, Wakes
from worker.engine.parts import Hook, Part, Turning
from worker.engine.places import MAX_IN_FLIGHT
from worker.engine.presence import Presence
from worker.engine.recorder import Recorder
from worker.engine.releaser import Releaser
from worker.engine.restorer import Restorer
from worker.engine.sweeper import Sweeper
from worker.engine.watchdog import Watchdog
from worker.inbound.redis_queue import RedisQueue
from worker.inbound.stream import StreamSource
from worker.preflight.accounts import ReadAccounts
from worker.provider import Codes, Observers
from worker.redisio.connection import connect
from worker.redisio.nodes import Nodes
from worker.redisio.runner import Scripts
from worker.settings import Settings
from worker.state import layout
from worker.state.census import Census
from worker.state.dead_letters import RedisDeadLetters
from worker.state.layout import AgreedNodes
from worker.state.look import Look
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox
from worker.state.refused_results import RefusedResults
from worker.state.remembering import RememberingLedger
from worker.state.suspects import RedisSuspects
from worker.telemetry import outlet
from worker.telemetry.accounts_file import AccountsFileTold
from worker.telemetry.health import HealthServer
from worker.telemetry.metrics import Metrics
from worker.telemetry.watching import Watching
from worker.wiring.accounts import LiveAccounts
from worker.wiring.pages import Pages
from worker.wiring.provider import make_provider
from worker.wiring.restoring import Restoring
from worker.wiring.tracing import OpenTelemetry, Tracing
from worker.wiring.webhooks import Webhooks

ACCOUNTS, LIMITS, RELEASER, SWEEPER = "accounts", "limits", "releaser", "sweeper"
RELAY, COURIERS = "relay", "couriers"
RESTORER = "restorer"
"""The loops that others wake."""

LEASE_MARGIN_SECONDS, MIN_LEASE_SECONDS = 15.0, 30.0
"""What a lease lasts beyond one request: the wait for its slot, the connection, a short pause, settling; and at least,
see `worker/engine/keeper.py`."""


class Wiring:
    """The parts of one worker, each made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(
        self,
        settings: Settings,
        calls: int,
        webhooks: int = MAX_IN_FLIGHT,
        checked: ReadAccounts | None = None,
    ) -> None:
        """`calls` and `webhooks`: the most in flight. `checked`: see `LiveAccounts`."""
        self._settings, self._calls, self._places = settings, calls, webhooks
        layout.choose(settings.redis_url, settings.redis_shards)
        self._live = LiveAccounts(settings, checked)
        self.wakes, self.leases_in_hand, self.closing = Wakes(), LeasesInHand(), threading.Event()

    @cached_property
    def engine(self) -> Engine:
        """All of a worker but Celery, not started yet. Read the stages downwards for the start, upwards for the end."""
        stages: list[Sequence[Part]] = [
            [Hook(at_end=self.tracing.close)],
            [Hook(self.health.start, at_end=self.health.stop)],
            [Hook(at_end=self.relay.close)],
            [*self.carriers, Hook(at_end=self.watchdog.close)],
            [self.deadline],
            [self.recorder],
            [self.dialler, self.couriers],
            [Hook(at_end=self.presence.leave)],
            [Hook(at_end=source.close) for source in self.sources.values()],
            # The watchdog does not watch over the last one: calls must not end where a file system hangs.
            [*self.takers, self._loop(ACCOUNTS, self.accounts_watch.turn)],
            [Hook(self.watchdog.start)],
        ]
        return Engine(stages, self.deadline, self.intake, self.dialler, self.consumer)

    @cached_property
    def takers(self) -> list[Loop]:
        """What brings jobs into this process."""
        limits = DeclaredLimits(
            self.ledger, self.accounts, self.accounts_told, declared=self.wakes.of(RELEASER).set
        )
        releaser = Releaser(self.ledger, self.dialler, lambda: limits.current)
        sweeper = Sweeper(self.ledger, Overdue(self.accounts, self.settler).decide, self.recorder)
        return [
            self._loop("intake", self.intake.turn),
            self._loop(LIMITS, limits.turn),
            self._loop(RELEASER, releaser.turn),
            self._loop(SWEEPER, sweeper.turn),
            self._loop("lookout", self.lookout.turn),
            *(self._loop(name, source.turn) for name, source in self.sources.items()),
            self._loop("backlog", self._pause_if_needed),
            self._loop("presence", self.presence.turn),
            *(self._loop(name, turn) for name, turn in self.pages.checks.items()),
        ]

    @cached_property
    def carriers(self) -> list[Loop]:
        """What brings outcomes out."""
        return [
            self._loop("recorder", self.recorder.turn),
            self._loop("keeper", Keeper(self.ledger, self.leases_in_hand).turn),
            self._loop(RESTORER, self.restorer.turn),
            self._loop(RELAY, self.backlog.guarding(self.relay.turn)),
            self._loop(COURIERS, self.couriers.turn),
        ]

    def _pause_if_needed(self) -> float:
        """Look for what stops dialling: a refusal of the broker, too many events, a drain."""
        pause_seconds = self.backlog.turn()
        self.draining.turn()
        return pause_seconds

    def _loop(self, name: str, turn: Callable[[], float]) -> Loop:
        return Loop(name, turn, self.watching, self.wakes.of(name))

    @cached_property
    def deadline(self) -> Deadline:
        return Deadline(self.intake, self.dialler, self.recorder, self.closing)

    @cached_property
    def sources(self) -> dict[str, RedisQueue | StreamSource]:
        """What the engine itself takes jobs from, by the names of their threads."""
        if self.redis_broker is None:
            return {}
        return {
            "queue": RedisQueue(self.redis_broker, self.intake, lambda: self.dialler.begun),
            "stream": StreamSource(self.redis_broker, self.intake),
        }

    @property
    def accounts(self) -> CurrentAccounts:
        return self._live.current

    @cached_property
    def accounts_told(self) -> AccountsFileTold:
        return AccountsFileTold(self.metrics, self.accounts.now)

    @cached_property
    def accounts_watch(self) -> AccountsWatch:
        woken, used = self.wakes.of(ACCOUNTS).set, self.wakes.of(LIMITS).set
        return self._live.watch(self.webhooks, self.metrics, self.accounts_told, woken=woken, used=used)

    @cached_property
    def codes(self) -> Codes:
        return Codes.load(self._settings.provider_errors_file)

    @cached_property
    def metrics(self) -> Metrics:
        metrics = Metrics(self.codes.classes)
        accounts = self.accounts.now
        metrics.initialise(accounts, accounts.endpoints(), self._settings.metrics_accounts)
        outlet.count_dropped(metrics.log_lines_dropped.inc)
        return metrics

    @cached_property
    def watching(self) -> Watching:
        return Watching(self.metrics, self.wakes.wake_all, self.pages.redis_clock)

    @cached_property
    def tracing(self) -> Tracing:
        return OpenTelemetry(self._settings, self.client) if self._settings.traced else Tracing()

    @cached_property
    def client(self) -> redis.Redis:
        return connect(redis_url(self._settings), replicas=self._settings.redis_replicas)

    @cached_property
    def redis_broker(self) -> redis.Redis | None:
        """The broker where it is a Redis; Celery's own consumer takes from any other."""
        url = redis_broker(self._settings)
        return connect(url, variable="BROKER_URL") if url else None

    @cached_property
    def scripts(self) -> Scripts:
        return store_scripts(self.client, self.nodes, self.restoring.turns)

    @cached_property
    def nodes(self) -> Nodes:
        return AgreedNodes(self.client)

    @cached_property
    def restoring(self) -> Restoring:
        return Restoring(self.wakes.of(RESTORER).set)

    @cached_property
    def restorer(self) -> Restorer:
        scripts, over = store_scripts(self.client, self.nodes), self.wakes.wake_all
        return self.restoring.restorer(
            scripts, self.ledger, self.pages.workers, self.accounts, self.watching, over
        )

    @cached_property
    def ledger(self) -> RememberingLedger:
        return RememberingLedger(
            self.scripts,
            journal=self.restoring.journal,
            unix_clock=self.pages.redis_clock,
            lease_seconds=max(self._settings.proxstop_timeout + LEASE_MARGIN_SECONDS, MIN_LEASE_SECONDS),
            retention_seconds=self._settings.retention_seconds,
            replay_seconds=self._settings.replay_seconds,
        )

    @cached_property
    def lookout(self) -> Lookout:
        releaser, sweeper, couriers = (self.wakes.of(name).set for name in (RELEASER, SWEEPER, COURIERS))
        return Lookout(Look(self.scripts, self.ledger.learn), releaser, sweeper, couriers)

    @cached_property
    def dead_letters(self) -> RedisDeadLetters:
        return RedisDeadLetters(self.client)

    @cached_property
    def provider(self) -> Provider:
        observers = Observers(self.watching.request_done, self.watching.answered_oddly, self.tracing.called)
        return make_provider(self._settings, self.codes, observers, self.metrics, kept=self._calls)

    @cached_property
    def settler(self) -> Settler:
        traces = self.tracing.traces
        return Settler(self.ledger, self.recorder, self.watching, closing=self.closing, traces=traces)

    @cached_property
    def recorder(self) -> Recorder:
        room = self.wakes.of(RELEASER).set
        return Recorder(
            self.ledger, self.watching, self.watching, self.leases_in_hand, ended=self._ended, room=room
        )

    def _ended(self) -> None:
        self.lookout.recorded()
        self.wakes.of(RELAY).set()
        if self.webhooks.directory:
            self.wakes.of(COURIERS).set()

    @cached_property
    def dialler(self) -> Dialler:
        timeout = self._settings.proxstop_timeout
        calls = Calls(self.accounts, self.provider, self.settler, GivingWay(), request_seconds=timeout)
        freed = self.wakes.of(RELEASER).set
        return Dialler(self._calls, calls.dial, self.watching, self.leases_in_hand, freed=freed)

    @cached_property
    def intake(self) -> Intake:
        suspects = RedisSuspects(self.client)
        reception = Reception(
            self.ledger,
            self.accounts,
            self.dead_letters,
            self.watching,
            extended=self._settings.extended,
            traced=self._settings.traced,
            traces=self.tracing.traces,
        )
        waiting = self.wakes.of(RELEASER).set
        return Intake(reception, self.dead_letters, suspects, self.dialler, self.watching, waiting=waiting)

    @cached_property
    def relay(self) -> Relay:
        settings = self._settings
        results = ResultsQueue(
            broker_url(settings), settings.amqp_queue_type, replicas=settings.redis_replicas
        )
        return Relay(
            RedisOutbox(self.scripts),
            self.tracing.results(results),
            self._published,
            waits=lambda: self.lookout.events,
        )

    def _published(self, events: Sequence[OutgoingEvent]) -> None:
        self.watching.results_published(events)
        self.backlog.confirmed()

    @cached_property
    def backlog(self) -> Backlog:
        census = Census(self.client)

        def unpublished() -> int:
            return census.unpublished() if self.lookout.events else 0

        most = self._settings.results_backlog
        return Backlog(unpublished, most, self.refusals, self.dialler, self.watching)

    @cached_property
    def refusals(self) -> RefusedResults:
        return RefusedResults(self.client, self.scripts)

    @cached_property
    def draining(self) -> Draining:
        dialler, intake, recorder = self.dialler, self.intake, self.recorder
        return Draining(
            lambda: self.refusals.drain,
            dialler,
            intake,
            lambda: dialler.in_flight + intake.in_hand + recorder.unrecorded,
            self.watching,
        )

    @cached_property
    def couriers(self) -> Couriers:
        return self.webhooks.couriers

    @cached_property
    def webhooks(self) -> Webhooks:
        settings, scripts, wake = self._settings, self.scripts, self.wakes.of(COURIERS).set
        return Webhooks(
            settings, self.accounts.now, scripts, self.watching, self.tracing, wake=wake, places=self._places
        )

    @cached_property
    def consumer(self) -> ConsumerWatch:
        return ConsumerWatch(self.watching)

    @cached_property
    def watchdog(self) -> Watchdog:
        greenlets = [self.dialler.thread, self.couriers.thread]
        threads: list[Turning] = [*self.takers, *greenlets, *self.carriers]
        return Watchdog(threads, list(self.sources.values()), self.consumer, self.watching)

    @cached_property
    def pages(self) -> Pages:
        return Pages(self._settings, self.accounts)

    @cached_property
    def presence(self) -> Presence:
        return self.pages.presence(
            self.dialler, self.backlog, self.draining, lambda: self.accounts_watch.problem
        )

    @cached_property
    def health(self) -> HealthServer:
        return self.pages.server(self.metrics, self.watchdog, self.backlog, self.draining, self.presence)
