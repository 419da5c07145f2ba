"""A clock that moves only when a test says so, for Python and for the Lua scripts."""

from __future__ import annotations

import pytest
import redis

from worker.core.shards import ONE_SERVER
from worker.state import keys, lua

START_US = 1_800_000_000_000_000
KEYS = ("test:clock:s", "test:clock:us")
"""The keys that hold the seconds and microseconds of a `StoredClock`."""
_TIME = "redis.call('TIME')"
_STORED_TIME = "redis.call('MGET', '{}', '{}')".format(*KEYS)
_BASE = "(string.sub(KEYS[1], -1) == ':' and KEYS[1] or '{' .. KEYS[1] .. '}:')"
_TIME_OF_ITS_SLOT = f"redis.call('MGET', {_BASE} .. 'test:s', {_BASE} .. 'test:us')"


class FakeClock:
    """Redis' time in microseconds; the process's monotonic clock starts at 0 and moves along with it.

    The store's own clock, `steady_us`, moves along too, as long as workers ask.
    """

    def __init__(self) -> None:
        self.now_us = START_US
        self._started_us = START_US
        self._unasked_us = 0

    def __call__(self) -> float:
        """The monotonic clock in seconds."""
        return (self.now_us - self._started_us) / 1_000_000

    @property
    def steady_us(self) -> int:
        return START_US + self.now_us - self._started_us - self._unasked_us

    def advance(self, seconds: float) -> None:
        """Let time pass while workers keep asking the store."""
        self.now_us += round(seconds * 1_000_000)

    def pass_unasked(self, seconds: float) -> None:
        """Let time pass while nobody can ask the store: all clocks move but the store's own."""
        self.advance(seconds)
        self._unasked_us += round(seconds * 1_000_000)

    def set_store(self, seconds: float) -> None:
        """Set Redis' clock alone, forwards or back."""
        self.now_us += round(seconds * 1_000_000)
        self._started_us += round(seconds * 1_000_000)


class StoredClock(FakeClock):
    """The same clock, kept in a Redis where the scripts read it."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._client = client
        self.advance(0)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._store(f"{self.now_us} {self.steady_us} 0")

    def pass_unasked(self, seconds: float) -> None:
        FakeClock.advance(self, seconds)
        self._unasked_us += round(seconds * 1_000_000)
        self._store(None)

    def set_store(self, seconds: float) -> None:
        super().set_store(seconds)
        self._store(None)

    def go_back(self, seconds: float) -> None:
        """Have the store's own clock stand where it stood so long ago, as it does once its key has been set back."""
        self._unasked_us += round(seconds * 1_000_000)
        self._store(None)

    def _store(self, steady: str | None) -> None:
        """Write the time, and the store's clock if it is given. In a cluster each slot of scripts has both."""
        time = divmod(self.now_us, 1_000_000)
        if keys.layout().version == ONE_SERVER:
            self._client.mset(
                {**dict(zip(KEYS, time, strict=True)), **({keys.CLOCK: steady} if steady else {})}
            )
            return
        alone = (keys.FILES, keys.WORKERS, keys.AUDIT)
        with self._client.pipeline(transaction=False) as pipeline:
            for base in (*keys.prefixes(), *(f"{{{key}}}:" for key in alone)):
                pipeline.set(f"{base}test:s", time[0])
                pipeline.set(f"{base}test:us", time[1])
                if steady:
                    pipeline.set(f"{base}clock", steady)
            pipeline.execute()


def read_time_from_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the scripts read the time from a `StoredClock`; nothing else in them changes."""
    original, original_of_cluster = lua.source, lua.cluster_source

    def source(name: str) -> str:
        return original(name).replace(_TIME, _STORED_TIME)

    def cluster_source(name: str) -> str:
        return original_of_cluster(name).replace(_STORED_TIME, _TIME_OF_ITS_SLOT)

    assert _TIME in original("admit")
    monkeypatch.setattr(lua, "source", source)
    monkeypatch.setattr(lua, "cluster_source", cluster_source)
