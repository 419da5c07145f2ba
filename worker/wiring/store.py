"""Makes what reaches the store, and what this worker remembers of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import redis

from worker.broker.address import redis_url
from worker.core.current import CurrentAccounts
from worker.engine.restorer import Restorer, RestoringWatch
from worker.redisio.connection import connect
from worker.redisio.nodes import Nodes
from worker.redisio.runner import Scripts
from worker.redisio.turns import Turns
from worker.settings import Settings
from worker.state.journal import Journal
from worker.state.layout import AgreedNodes
from worker.state.lua import store_scripts
from worker.state.remembering import RememberingLedger
from worker.state.set_back import Member, SetBackShards
from worker.state.workers import RedisWorkers

LEASE_MARGIN_SECONDS, MIN_LEASE_SECONDS = 15.0, 30.0
"""What a lease lasts beyond one request: the wait for its slot, the connection, a short pause, settling; and at least,
see `worker/engine/keeper.py`."""


class Store:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(
        self, settings: Settings, unix_clock: Callable[[], float], *, went_back: Callable[[], None]
    ) -> None:
        """`unix_clock` tells Redis' time (Unix s). `went_back` is called when a shard went back in time."""
        self._settings, self._unix_clock = settings, unix_clock
        self._turns, self._journal = Turns(went_back), Journal()

    @cached_property
    def client(self) -> redis.Redis:
        return connect(redis_url(self._settings), replicas=self._settings.redis_replicas)

    @cached_property
    def _nodes(self) -> Nodes:
        return AgreedNodes(self.client)

    @cached_property
    def scripts(self) -> Scripts:
        return store_scripts(self.client, self._nodes, self._turns)

    @cached_property
    def ledger(self) -> RememberingLedger:
        return RememberingLedger(
            self.scripts,
            journal=self._journal,
            unix_clock=self._unix_clock,
            lease_seconds=max(self._settings.proxstop_timeout + LEASE_MARGIN_SECONDS, MIN_LEASE_SECONDS),
            retention_seconds=self._settings.retention_seconds,
            replay_seconds=self._settings.replay_seconds,
        )

    def restorer(
        self,
        workers: RedisWorkers,
        accounts: CurrentAccounts,
        watch: RestoringWatch,
        *,
        over: Callable[[], None],
    ) -> Restorer:
        """Return what makes good shards that went back, see docs/decisions/0030. `over`: see there."""
        shards = SetBackShards(
            # It works on shards that all others leave alone, so its scripts know no turns.
            store_scripts(self.client, self._nodes),
            self._turns,
            self._journal,
            Member(workers.id, workers.living, lambda name: accounts.now.get(name)),  # noqa: PLW0108 (it changes)
            self.ledger.kept,
            self.ledger.lease_us,
        )
        return Restorer(shards, watch, over=over)
