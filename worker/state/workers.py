"""The workers that live or were lost, and the election of the one that serves the metrics of all."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import redis

from worker.core.fleet import KEPT_SECONDS, LOST_SECONDS, Fleet, Heard, Report
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.layout import AgreedNodes
from worker.state.lua import store_scripts
from worker.state.steady import steady_us, unpaused_us

_LATER = ("refuses", "drained")
"""Fields of a report that workers of 0.1.0 do not have."""


class RedisWorkers:
    """Implements `engine.presence.Register` for one worker, which gets a random id. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._scripts = client, store_scripts(client, AgreedNodes(client))
        self.id = secrets.token_hex(8)

    def report(self, report: Report, elected_seconds: float, replaces_seconds: float) -> tuple[bool, bool]:
        """See `Register`. Takes one round trip."""
        told = json.dumps(asdict(report), separators=(",", ":"))
        spans = (round(seconds * 1000) for seconds in (elected_seconds, replaces_seconds, KEPT_SECONDS))
        elected, replaced = self._scripts.run(ScriptCall("report", _keys(), (self.id, told, *spans)))
        return bool(elected), bool(replaced)

    def leave(self) -> None:
        """See `Register`. Takes one round trip."""
        self._scripts.run(ScriptCall("leave", _keys(), (self.id,)))

    def fleet(self) -> Fleet:
        """Return the workers that live or were lost. Takes one round trip. Raises StoreUnavailable or WrongKey.

        If all workers are gone, none counts as living, although the store's clock then stands still.
        """
        clock, saved, entries = self._read()
        return fleet_of(entries, saved, clock)

    def living(self) -> list[str]:
        """Return the ids of the workers that live, or were lost so recently that nobody can tell.

        The time in which nobody could ask does not count. Takes one round trip. Raises StoreUnavailable or WrongKey.
        """
        clock, saved, entries = self._read()
        heard = {name: _heard(entry, steady_us(saved, clock) // 1000) for name, entry in entries.items()}
        return [name.decode() for name, one in heard.items() if one and one.silent_seconds < LOST_SECONDS]

    def _read(self) -> Any:
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.get(keys.clock(keys.WORKERS))
            pipeline.hgetall(keys.WORKERS)
            return pipeline.execute()


def _keys() -> tuple[str, str]:
    return keys.WORKERS, keys.elected()


def fleet_of(entries: Mapping[bytes, bytes], saved: bytes | None, clock: tuple[int, int]) -> Fleet:
    """Read the entries of the hash; `saved` and `clock` as in `unpaused_us`."""
    now_ms = unpaused_us(saved, clock) // 1000
    found = (_heard(entry, now_ms) for entry in entries.values())
    return Fleet.of([one for one in found if one is not None])


def _heard(entry: bytes, now_ms: int) -> Heard | None:
    """Read an entry of the hash; None if it is none of ours."""
    with suppress(ValueError, TypeError, KeyError):
        told: Mapping[str, Any] = json.loads(entry)
        # An earlier version does not tell all of it.
        report = Report(
            **{name: told[name] for name in Report.__slots__ if name not in _LATER or name in told}
        )
        return Heard(report, max(now_ms - int(told["heard_ms"]), 0) / 1000)
    return None
