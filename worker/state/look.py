"""Looks whether there may be something to do, on behalf of all loops that ask the store again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from worker.core.sight import Sight
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.leases import Span
from worker.state.units import to_seconds

TICK_SECONDS = 0.6
"""How often the script is run at least: it keeps the store's clock going, which a pause of a second stops."""

_INDEXES = ("due", "expiry", "leases", "outbox", "hooks", "hook-leases", "deliveries")
"""What look.lua asks about on each shard."""

_NOTHING = Sight(math.inf, math.inf, math.inf, events=False)
_UNKNOWN = Sight(0.0, 0.0, 0.0, events=True)
"""For shards that cannot be reached: the loops ask, and tell of it."""


class Look:
    """Implements `engine.lookout.Look`, for one thread."""

    def __init__(
        self,
        scripts: Scripts,
        learn: Callable[[Span, int, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`learn` is told the time that Redis names, see `RedisLedger`."""
        self._scripts, self._learn, self._clock = scripts, learn, clock
        self._quiet_until = -math.inf

    def __call__(self) -> Sight:
        """See `Look`. Takes a round trip, and another one when a quiet time ends.

        A script costs Redis several times what plain commands do, above all if it runs rarely. So between two runs that
        found nothing, it is only asked whether anything exists.
        """
        if self._clock() < self._quiet_until and not self._anything():
            return _NOTHING
        self._quiet_until, sent = -math.inf, self._clock()
        groups = self._scripts.groups(keys.prefixes())
        replies = self._scripts.run_parts([ScriptCall("look", shards, ()) for shards in groups])
        span = sent, self._clock()
        seen = _together([
            self._sight(reply, span, shards[0]) for shards, reply in zip(groups, replies, strict=True)
        ])  # fmt: skip
        if seen == _NOTHING:
            self._quiet_until = sent + TICK_SECONDS
        return seen

    def _anything(self) -> bool:
        """Return whether any shard has anything, or cannot be asked."""
        shards = [[prefix + name for name in _INDEXES] for prefix in keys.prefixes()]
        # A command must not name keys of several servers.
        asked = shards if self._scripts.several else [[key for names in shards for key in names]]
        questions = [("EXISTS", *names) for names in asked]
        return any(found != 0 for found in self._scripts.commands_each(questions))

    def _sight(self, reply: Any, span: Span, shard: str) -> Sight:
        if isinstance(reply, StoreUnavailable):
            return _UNKNOWN
        now_us, lanes, overdue, deliveries, events = reply
        self._learn(span, int(now_us), shard)
        return Sight(_seconds(lanes), _seconds(overdue), _seconds(deliveries), bool(events))


def _together(sights: list[Sight]) -> Sight:
    lanes, overdue, deliveries, events = zip(*sights, strict=True)
    return Sight(min(lanes), min(overdue), min(deliveries), any(events))


def _seconds(wait_us: Any) -> float:
    return to_seconds(int(wait_us)) if int(wait_us) >= 0 else math.inf
