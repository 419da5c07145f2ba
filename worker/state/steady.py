"""Reads the store's own clock, which the scripts keep, see `ground.lua` and docs/decisions/0013.

It advances with Redis' clock while workers ask, and stands still while Redis' clock is set or nobody can ask. Lanes,
slots, probes and leases are timed by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from worker.redisio.node import Command
from worker.state import keys

MAX_PAUSE_US = 1_000_000
"""If Redis' clock has moved by more or backwards, it was set or nobody asked, so the store's clock stood still."""

_SAVED = re.compile(rb"(\d+) (\d+) \d+")


def steady_us(saved: bytes | None, redis_time: tuple[int, int]) -> int:
    """Return the store's clock (µs) at `redis_time`, a reply of TIME; `saved` is the value of its key.

    Without a readable value it is Redis' own time.
    """
    now_us, passed_us = _last(saved, redis_time)
    return now_us + (passed_us if 0 <= passed_us <= MAX_PAUSE_US else 0)


def unpaused_us(saved: bytes | None, redis_time: tuple[int, int]) -> int:
    """Return what `steady_us` would be if the clock had not stood still since it was last written down.

    So the time in which no worker asked counts too: for those who want to know whether any worker lives.
    """
    now_us, passed_us = _last(saved, redis_time)
    return now_us + max(passed_us, 0)


def written_us_ago(saved: bytes | None, redis_time: tuple[int, int]) -> int | None:
    """Return how long ago the store's clock was written down (µs).

    None if it must be written anew: its value cannot be read, or Redis' clock was set back.
    """
    if _SAVED.fullmatch(saved or b"") is None:
        return None
    passed_us = _last(saved, redis_time)[1]
    return passed_us if passed_us >= 0 else None


def _last(saved: bytes | None, redis_time: tuple[int, int]) -> tuple[int, int]:
    """Return the store's clock when it was last written down, and by how much Redis' clock has moved since (µs)."""
    time_us = redis_time[0] * 1_000_000 + redis_time[1]
    found = _SAVED.fullmatch(saved or b"")
    return (int(found[2]), time_us - int(found[1])) if found else (time_us, 0)


class Clocks(NamedTuple):
    """Redis' own time and the store's clock, in microseconds."""

    time_us: int
    now_us: int

    def told(self, moment_us: float) -> int:
        """Translate a moment of the store's clock to Redis' own time."""
        return int(moment_us) + self.time_us - self.now_us

    def ahead(self, moment_us: int) -> int | None:
        """The moment as Redis' own time if it is still to come."""
        return self.told(moment_us) if moment_us > self.now_us else None


class ClocksOf:
    """The clocks of some accounts, asked for in one pipeline: one for all, or in a cluster one for each shard."""

    def __init__(self, accounts: Iterable[str]) -> None:
        self._keys = list(dict.fromkeys(map(_clock_key, accounts)))
        self._found: dict[str, Clocks] = {}

    def ask(self, pipeline: Any) -> int:
        """Add the commands to a pipeline. Returns how many there are."""
        for key in self._keys:
            ask_clock(pipeline, key)
        return 2 * len(self._keys)

    def commands(self) -> list[Command]:
        """Return the commands, see `Scripts.look_each`."""
        return [command for key in self._keys for command in (("GET", key), ("TIME",))]

    def learn(self, replies: Sequence[Any]) -> None:
        """Take the replies to the commands. A clock that cannot be read stays unknown."""
        for key, saved, time in zip(self._keys, replies[::2], replies[1::2], strict=True):
            if isinstance(time, Exception):
                continue
            clock = int(time[0]), int(time[1])
            known = saved if isinstance(saved, bytes) else None
            self._found[key] = Clocks(clock[0] * 1_000_000 + clock[1], steady_us(known, clock))

    def of(self, account: str) -> Clocks:
        """Return the clocks of one of the accounts. Raises KeyError if they could not be read."""
        return self._found[_clock_key(account)]

    def knows(self, account: str) -> bool:
        """Tell whether the clocks of one of the accounts could be read."""
        return _clock_key(account) in self._found


def ask_clock(pipeline: Any, key: str) -> None:
    """Add the commands that ask for one clock and for Redis' own time."""
    pipeline.get(key)
    pipeline.time()


def _clock_key(account: str) -> str:
    return keys.clock(keys.prefix_of(account))
