"""Makes the parts of one worker, and connects them."""

from __future__ import annotations

import threading
from functools import cached_property

import redis

from worker.broker.address import redis_broker
from worker.core.current import CurrentAccounts
from worker.core.ports import Provider
from worker.core.settling import Settler
from worker.core.verify import Calls, Reception
from worker.engine.accounts_watch import AccountsWatch
from worker.engine.backlog import Backlog
from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.couriers import Couriers
from worker.engine.dialler import Dialler
from worker.engine.draining import Draining
from worker.engine.greenlets import GivingWay
from worker.engine.intake import Intake
from worker.engine.keeper import LeasesInHand
from worker.engine.lookout import Lookout
from worker.engine.loops import Wakes
from worker.engine.places import MAX_IN_FLIGHT
from worker.engine.presence import Presence
from worker.engine.recorder import Recorder
from worker.engine.restorer import Restorer
from worker.inbound.redis_queue import RedisQueue
from worker.inbound.stream import StreamSource
from worker.preflight.accounts import ReadAccounts
from worker.provider import Codes, Observers
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import layout
from worker.state.dead_letters import RedisDeadLetters
from worker.state.look import Look
from worker.state.suspects import RedisSuspects
from worker.telemetry import outlet
from worker.telemetry.accounts_file import AccountsFileTold
from worker.telemetry.metrics import Metrics
from worker.telemetry.watching import Watching
from worker.wiring.accounts import LiveAccounts
from worker.wiring.pages import Pages
from worker.wiring.provider import make_provider
from worker.wiring.results import Results
from worker.wiring.store import Store
from worker.wiring.tracing import OpenTelemetry, Tracing
from worker.wiring.webhooks import Webhooks

ACCOUNTS, LIMITS, RELEASER, SWEEPER = "accounts", "limits", "releaser", "sweeper"
RELAY, COURIERS, RESTORER = "relay", "couriers", "restorer"
"""The loops that others wake."""


class Parts:
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
        return OpenTelemetry(self._settings, self.store.client) if self._settings.traced else Tracing()

    @cached_property
    def redis_broker(self) -> redis.Redis | None:
        """The broker where it is a Redis; Celery's own consumer takes from any other."""
        url = redis_broker(self._settings)
        return connect(url, variable="BROKER_URL") if url else None

    @cached_property
    def store(self) -> Store:
        return Store(self._settings, self.pages.redis_clock, went_back=self.wakes.of(RESTORER).set)

    @cached_property
    def restorer(self) -> Restorer:
        return self.store.restorer(self.pages.workers, self.accounts, self.watching, over=self.wakes.wake_all)

    @cached_property
    def lookout(self) -> Lookout:
        releaser, sweeper, couriers = (self.wakes.of(name).set for name in (RELEASER, SWEEPER, COURIERS))
        return Lookout(Look(self.store.scripts, self.store.ledger.learn), releaser, sweeper, couriers)

    @cached_property
    def dead_letters(self) -> RedisDeadLetters:
        return RedisDeadLetters(self.store.client)

    @cached_property
    def provider(self) -> Provider:
        observers = Observers(self.watching.request_done, self.watching.answered_oddly, self.tracing.called)
        return make_provider(self._settings, self.codes, observers, self.metrics, kept=self._calls)

    @cached_property
    def settler(self) -> Settler:
        traces = self.tracing.traces
        return Settler(self.store.ledger, self.recorder, self.watching, closing=self.closing, traces=traces)

    @cached_property
    def recorder(self) -> Recorder:
        room = self.wakes.of(RELEASER).set
        return Recorder(
            self.store.ledger, self.watching, self.watching, self.leases_in_hand, ended=self._ended, room=room
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
        suspects = RedisSuspects(self.store.client)
        reception = Reception(
            self.store.ledger,
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
    def results(self) -> Results:
        return Results(
            self._settings,
            self.store,
            self.dialler,
            self.watching,
            self.tracing,
            wait=lambda: self.lookout.events,
        )

    @property
    def backlog(self) -> Backlog:
        return self.results.backlog

    @cached_property
    def draining(self) -> Draining:
        dialler, intake, recorder = self.dialler, self.intake, self.recorder

        def in_hand() -> int:
            return dialler.in_flight + intake.in_hand + recorder.unrecorded

        return Draining(lambda: self.results.refusals.drain, dialler, intake, in_hand, self.watching)

    @cached_property
    def couriers(self) -> Couriers:
        return self.webhooks.couriers

    @cached_property
    def webhooks(self) -> Webhooks:
        settings, scripts, wake = self._settings, self.store.scripts, self.wakes.of(COURIERS).set
        return Webhooks(
            settings, self.accounts.now, scripts, self.watching, self.tracing, wake=wake, places=self._places
        )

    @cached_property
    def consumer(self) -> ConsumerWatch:
        return ConsumerWatch(self.watching)

    @cached_property
    def pages(self) -> Pages:
        return Pages(self._settings, self.accounts)

    @cached_property
    def presence(self) -> Presence:
        return self.pages.presence(
            self.dialler, self.backlog, self.draining, lambda: self.accounts_watch.problem
        )
