"""Makes what notices a store that went back in time, and what makes that good. See docs/decisions/0030."""

from __future__ import annotations

from collections.abc import Callable

from worker.core.current import CurrentAccounts
from worker.engine.restorer import Restorer, RestoringWatch
from worker.redisio.runner import Scripts
from worker.redisio.turns import Turns
from worker.state.journal import Journal
from worker.state.remembering import RememberingLedger
from worker.state.set_back import Member, SetBackShards
from worker.state.workers import RedisWorkers


class Restoring:
    """What this worker remembers of the store. `noticed` is called when a shard went back."""

    def __init__(self, noticed: Callable[[], None]) -> None:
        self.turns, self.journal = Turns(noticed), Journal()

    def restorer(
        self,
        scripts: Scripts,
        ledger: RememberingLedger,
        workers: RedisWorkers,
        accounts: CurrentAccounts,
        watch: RestoringWatch,
        over: Callable[[], None],
    ) -> Restorer:
        """`scripts` are those of the store, without turns. `over` is called when everything is made good."""
        shards = SetBackShards(
            scripts,
            self.turns,
            self.journal,
            Member(workers.id, workers.living, lambda name: accounts.now.get(name)),  # noqa: PLW0108 (it changes)
            ledger.kept,
            ledger.lease_us,
        )
        return Restorer(shards, watch, over=over)
