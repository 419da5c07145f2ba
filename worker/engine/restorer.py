"""Makes good what the store lost when it went back in time. See docs/decisions/0030."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from worker.core.making_good import Over, SetBackStore

IDLE_SECONDS = 5.0
"""The pause while nothing is wrong. The store is not asked then, and whoever notices something ends it."""

HELD_SECONDS, SOON_SECONDS = 0.25, 0.01
"""The pauses between two looks at shards that are held. The store's clock stands still if nobody looks for a second."""


class RestoringWatch(Protocol):
    """Is told of shards of the store that went back in time. Must not raise."""

    def set_back(self, shards: int) -> None:
        """So many shards went back, or others hold them; nothing is done there until `made_good`."""

    def made_good(self, over: Over, shards: int) -> None:
        """All are made good; `over` has the sums."""


class Restorer:
    """One turn takes part in making good the shards that went back, if there are any. `over` is called when all are."""

    def __init__(
        self, store: SetBackStore, watch: RestoringWatch, *, over: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._watch, self._over = store, watch, over
        self._ended: list[Over] = []

    def turn(self) -> float:
        """Return the seconds until the next turn. Raises StoreUnavailable or WrongKey."""
        if not self._store.count:
            return IDLE_SECONDS
        step = self._store.step()
        if step.begun:
            self._watch.set_back(step.begun)
        self._ended += step.over
        if self._store.count:
            return SOON_SECONDS if step.soon else HELD_SECONDS
        ended, self._ended = self._ended, []
        self._watch.made_good(_sum(ended), len(ended))
        self._over()
        return IDLE_SECONDS


def _sum(ended: list[Over]) -> Over:
    """Sum up what became of several shards that were held side by side."""
    return Over(
        sum(one.put_back for one in ended),
        sum(one.perhaps_rung for one in ended),
        all(one.all_known for one in ended),
        max((one.seconds for one in ended), default=0.0),
    )
