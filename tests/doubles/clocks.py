"""A clock that moves only when a test says so, for Python and for the Lua scripts."""

from __future__ import annotations

import pytest
import redis

from worker.state import scripts

START_US = 1_800_000_000_000_000
_KEYS = ("test:clock:s", "test:clock:us")
_TIME = "redis.call('TIME')"
_STORED_TIME = "redis.call('MGET', '{}', '{}')".format(*_KEYS)


class FakeClock:
    """Redis' time in microseconds; the process's monotonic clock starts at 0 and moves along with it."""

    def __init__(self) -> None:
        self.now_us = START_US
        self._started_us = START_US

    def __call__(self) -> float:
        """The monotonic clock in seconds."""
        return (self.now_us - self._started_us) / 1_000_000

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)

    def set_store_back(self, seconds: float) -> None:
        """The store's clock alone is set back."""
        self.now_us -= round(seconds * 1_000_000)
        self._started_us -= round(seconds * 1_000_000)


class StoredClock(FakeClock):
    """The same clock, kept in a Redis where the scripts read it."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._client = client
        self._store()

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._store()

    def set_store_back(self, seconds: float) -> None:
        super().set_store_back(seconds)
        self._store()

    def _store(self) -> None:
        seconds, microseconds = divmod(self.now_us, 1_000_000)
        self._client.mset(dict(zip(_KEYS, (seconds, microseconds), strict=True)))


def read_time_from_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the scripts ask a `StoredClock` for the time; all else in them stays as it is."""
    original = scripts.source

    def source(name: str) -> str:
        return original(name).replace(_TIME, _STORED_TIME)

    assert _TIME in original("admit")
    monkeypatch.setattr(scripts, "source", source)
