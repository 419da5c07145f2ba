"""Makes the loops of a worker, and puts all its parts into the order in which they start and stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from worker.core.verify import Overdue
from worker.engine.declared_limits import DeclaredLimits
from worker.engine.engine import Deadline, Engine
from worker.engine.keeper import Keeper
from worker.engine.loops import MAX_PAUSE_SECONDS, Loop
from worker.engine.parts import Hook, Part, Turning
from worker.engine.releaser import Releaser
from worker.engine.sweeper import Sweeper
from worker.engine.watchdog import Watchdog
from worker.telemetry.health import HealthServer
from worker.wiring.parts import ACCOUNTS, COURIERS, LIMITS, RELAY, RELEASER, RESTORER, SWEEPER, Parts

MAX_BLIND_SECONDS = 1.0
"""The longest pause between two looks at a store that does not answer."""


class Wiring(Parts):
    """The loops of one worker, and the order of all its parts. Making them raises ConfigurationError."""

    @cached_property
    def engine(self) -> Engine:
        """All of a worker but Celery, not started yet. Read the stages downwards for the start, upwards for the end."""
        stages: list[Sequence[Part]] = [
            [Hook(at_end=self.tracing.close)],
            [Hook(self.health.start, at_end=self.health.stop)],
            [Hook(at_end=self.results.relay.close)],
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
        ledger, declared = self.store.ledger, self.wakes.of(RELEASER).set
        limits = DeclaredLimits(ledger, self.accounts, self.accounts_told, declared=declared)
        releaser = Releaser(ledger, self.dialler, lambda: limits.current)
        sweeper = Sweeper(ledger, Overdue(self.accounts, self.settler).decide, self.recorder)
        return [
            self._loop("intake", self.intake.turn),
            self._loop(LIMITS, limits.turn),
            self._loop(RELEASER, releaser.turn),
            self._loop(SWEEPER, sweeper.turn),
            *(self._loop(name, source.turn) for name, source in self.sources.items()),
            self._loop("backlog", self._pause_if_needed),
            self._loop("presence", self.presence.turn),
            *(self._loop(name, turn) for name, turn in self.pages.checks.items()),
        ]

    @cached_property
    def carriers(self) -> list[Loop]:
        """What brings outcomes out."""
        return [
            # It goes on until the end: a worker that has not looked for a while does not trust the store at once.
            self._loop("lookout", self.lookout.turn, max_pause_seconds=MAX_BLIND_SECONDS),
            self._loop("recorder", self.recorder.turn),
            self._loop("keeper", Keeper(self.store.ledger, self.leases_in_hand).turn),
            self._loop(RESTORER, self.restorer.turn),
            self._loop(RELAY, self.backlog.guarding(self.results.relay.turn)),
            self._loop(COURIERS, self.couriers.turn),
        ]

    def _pause_if_needed(self) -> float:
        """Look for what stops dialling: a refusal of the broker, too many events, a drain."""
        pause_seconds = self.backlog.turn()
        self.draining.turn()
        return pause_seconds

    def _loop(
        self, name: str, turn: Callable[[], float], max_pause_seconds: float = MAX_PAUSE_SECONDS
    ) -> Loop:
        woken = self.wakes.of(name)
        return Loop(name, turn, self.watching, woken, max_pause_seconds=max_pause_seconds)

    @cached_property
    def watchdog(self) -> Watchdog:
        greenlets = [self.dialler.thread, self.couriers.thread]
        threads: list[Turning] = [*self.takers, *greenlets, *self.carriers]
        return Watchdog(threads, list(self.sources.values()), self.consumer, self.watching)

    @cached_property
    def deadline(self) -> Deadline:
        return Deadline(self.intake, self.dialler, self.recorder, self.closing)

    @cached_property
    def health(self) -> HealthServer:
        return self.pages.server(self.metrics, self.watchdog, self.backlog, self.draining, self.presence)
