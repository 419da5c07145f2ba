"""Looks whether there may be something to do, on behalf of all loops that ask the store again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from worker.core.sight import Sight
from worker.errors import StoreUnavailable, WrongKey
from worker.redisio.node import Command
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.leases import Span
from worker.state.steady import steady_us, written_us_ago
from worker.state.units import to_seconds

TICK_SECONDS = 0.6
"""How old the store's clock, as it is written down, may get before the script keeps it going. A pause of a second stops
it."""

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
        self._quiet = False

    def __call__(self) -> Sight:
        """See `Look`. Takes a round trip, and another one when a quiet time ends.

        A script costs Redis several times what plain commands do, above all if it runs rarely. So where the last look
        found nothing, commands tell whether that is still so, and the script runs only if no other has run for a while.
        """
        if self._quiet and self._is_still_quiet():
            return _NOTHING
        seen = self._see()
        self._quiet = seen == _NOTHING
        return seen

    def _see(self) -> Sight:
        """Run the script."""
        sent = self._clock()
        groups = self._scripts.groups(keys.prefixes())
        replies = self._scripts.run_parts([ScriptCall("look", shards, ()) for shards in groups])
        span = sent, self._clock()
        return _together([
            self._sight(reply, span, shards[0]) for shards, reply in zip(groups, replies, strict=True)
        ])  # fmt: skip

    def _is_still_quiet(self) -> bool:
        """Return whether no shard has anything and all clocks go on. False too where a shard cannot be asked."""
        prefixes = keys.prefixes()
        # A command must not name keys of several servers.
        groups = [[prefix] for prefix in prefixes] if self._scripts.several else [prefixes]
        sent = self._clock()
        try:
            replies = self._scripts.look_and_learn(
                [command for shards in groups for command in _questions(shards)],
                lambda replies: [word for found in _found(groups, replies) for word in found.beside],
            )
        except (StoreUnavailable, WrongKey):
            return False
        span = sent, self._clock()
        found = list(_found(groups, replies))
        for one in found:
            self._learn(span, one.now_us, one.shards[0])
        return all(one.quiet for one in found)

    def _sight(self, reply: Any, span: Span, shard: str) -> Sight:
        if isinstance(reply, StoreUnavailable):
            return _UNKNOWN
        now_us, lanes, overdue, deliveries, events = reply
        self._learn(span, int(now_us), shard)
        return Sight(_seconds(lanes), _seconds(overdue), _seconds(deliveries), bool(events))


class _Found(NamedTuple):
    """The replies to `_questions` about some shards."""

    shards: Sequence[str]
    exist: int
    turns: Sequence[bytes | None]
    saved: bytes | None
    time: tuple[int, int]

    @property
    def now_us(self) -> int:
        return steady_us(self.saved, self.time)

    @property
    def quiet(self) -> bool:
        ago_us = written_us_ago(self.saved, self.time)
        return not self.exist and ago_us is not None and to_seconds(ago_us) <= TICK_SECONDS

    @property
    def beside(self) -> list[Any]:
        """What look.lua tells beside its reply."""
        turns = zip(self.shards, self.turns, strict=True)
        told = [word for shard, turn in turns for word in (shard.encode(), turn or b"0")]
        return [*told, b"clock", self.now_us]


def _questions(shards: Sequence[str]) -> list[Command]:
    return [
        ("EXISTS", *(shard + name for shard in shards for name in _INDEXES)),
        *(("GET", shard + "turn") for shard in shards),
        ("GET", keys.clock(shards[0])),
        ("TIME",),
    ]


def _found(groups: Sequence[Sequence[str]], replies: Sequence[Any]) -> Iterator[_Found]:
    left = iter(replies)
    for shards in groups:
        exist, *turns, saved, time = islice(left, len(shards) + 3)
        yield _Found(shards, exist, turns, saved, (int(time[0]), int(time[1])))


def _together(sights: list[Sight]) -> Sight:
    lanes, overdue, deliveries, events = zip(*sights, strict=True)
    return Sight(min(lanes), min(overdue), min(deliveries), any(events))


def _seconds(wait_us: Any) -> float:
    return to_seconds(int(wait_us)) if int(wait_us) >= 0 else math.inf
