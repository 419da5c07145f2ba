"""Shows the state of webhook endpoints to people. Changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from worker.core.events import rfc3339
from worker.core.limits import Pace
from worker.delivery.ports import Destination
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.steady import Clocks, ClocksOf

DEFAULT_CONCURRENCY = 4
"""Requests in flight at an endpoint that no worker has declared."""

_CHUNK = 1000
_FIELDS = (
    "disabled",
    "disabled_at",
    "opened",
    "open_until",
    "slow_until",
    "fails",
    "inflight",
    "sequence",
    "pace",
)


class Breaker(StrEnum):
    """Whether deliveries go to an endpoint that is enabled."""

    CLOSED = "closed"
    """They go."""
    OPEN = "open"
    """The endpoint failed too often: none goes until a moment."""
    PROBING = "probing"
    """One goes, to see whether the endpoint is back."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint as the workers see it. Times are Unix µs, None if they do not apply.

    `disabled` is why it is disabled, "" if it is not. `failures` counts those in a row. `sequence` is the last number
    that an event got. `concurrency` is the most requests in flight.
    """

    disabled: str
    disabled_us: int | None
    breaker: Breaker
    open_until_us: int | None
    slow_until_us: int | None
    failures: int
    in_flight: int
    sequence: int
    concurrency: int

    @property
    def word(self) -> str:
        """The state in one word: `disabled`, or that of the breaker if it is not closed, or `enabled`."""
        if self.disabled:
            return "disabled"
        return "enabled" if self.breaker is Breaker.CLOSED else self.breaker.value

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object; times as RFC 3339."""
        return {
            "state": "disabled" if self.disabled else "enabled",
            "disabled": self.disabled or None,
            "disabled_at": _moment(self.disabled_us),
            "breaker": self.breaker,
            "open_until": _moment(self.open_until_us),
            "slow_until": _moment(self.slow_until_us),
            "failures": self.failures,
            "in_flight": self.in_flight,
            "sequence": self.sequence,
            "concurrency": self.concurrency,
        }


@dataclass(frozen=True, slots=True)
class EndpointView:
    """All that is known of an endpoint. Times are Unix µs, None if nothing waits.

    `pending` counts the deliveries that are not over, `waiting` those of them that are not in flight. `oldest_us` is
    since when the oldest of those is on its way: since its event, or its replay. `next_us` is when the next attempt may
    be made. `given_up` counts what was given up in the last seven days, by reason. `attempts` are the last ones, newest
    first, as JSON objects.
    """

    state: EndpointState
    pending: int
    waiting: int
    oldest_us: int | None
    next_us: int | None
    given_up: Counter[str]
    attempts: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object; times as RFC 3339."""
        return self.state.as_dict() | {
            "pending": self.pending,
            "waiting": self.waiting,
            "oldest_at": _moment(self.oldest_us),
            "next_at": _moment(self.next_us),
            "given_up": dict(self.given_up),
            "attempts": [one | {"at": rfc3339(one["at"] * 1000)} for one in self.attempts],
        }


class EndpointViews:
    """Reads what the workers know of endpoints. Each method may raise StoreUnavailable or WrongKey."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def knows(self, destination: Destination) -> bool:
        """Whether an event ever was on its way to this endpoint, or a worker has declared it."""
        with store_errors():
            return bool(self._client.exists(_key("hook", destination), _key("hook-log", destination)))

    def pending(self, destination: Destination) -> int:
        """Return how many deliveries to an endpoint are not over."""
        with store_errors():
            found: Any = self._client.hget(_pending_key(destination), "|".join(destination))
        return int(found or 0)

    def states(self, destinations: Sequence[Destination]) -> list[EndpointState]:
        """Return the state of each endpoint, in order. Takes one round trip."""
        clocks = ClocksOf(destination.account for destination in destinations)
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            asked = clocks.ask(pipeline)
            for destination in destinations:
                pipeline.hmget(_key("hook", destination), _FIELDS)
            replies = pipeline.execute()
        clocks.learn(replies[:asked])
        return [
            _state(row, clocks.of(destination.account))
            for destination, row in zip(destinations, replies[asked:], strict=True)
        ]

    def view(self, destination: Destination) -> EndpointView:
        """Return the whole view. Reads the record of everything that was given up."""
        asked = ClocksOf([destination.account])
        with store_errors(), self._client.pipeline(transaction=True) as pipeline:
            asked.ask(pipeline)
            pipeline.hmget(_key("hook", destination), _FIELDS)
            pipeline.zcard(_key("hook-lane", destination))
            pipeline.hget(_pending_key(destination), "|".join(destination))
            pipeline.zscore(f"{keys.prefix_of(destination.account)}hooks", "|".join(destination))
            pipeline.zrange(_key("hook-open", destination), 0, 0, withscores=True)
            pipeline.lrange(_key("hook-tries", destination), 0, -1)
            saved, time, row, waiting, pending, due, oldest, tries = pipeline.execute()
        asked.learn([saved, time])
        clocks = asked.of(destination.account)
        state = _state(row, clocks)
        return EndpointView(
            state=state,
            pending=int(pending or 0),
            waiting=waiting,
            oldest_us=int(oldest[0][1]) * 1000 if oldest else None,
            next_us=None if due is None or state.disabled else clocks.told(due),
            given_up=self._given_up(destination),
            attempts=tuple(map(json.loads, tries)),
        )

    def _given_up(self, destination: Destination) -> Counter[str]:
        jobs = self._members(_key("hook-lost", destination))
        rows = self._fields(destination, jobs, f"hook:{destination.endpoint_key}")
        return Counter(why for _, state, _, why, *_ in map(str.split, rows) if state == "given_up")

    def _members(self, key: str) -> list[str]:
        with store_errors():
            return [member.decode() for member, _ in self._client.zscan_iter(key, count=_CHUNK)]

    def _fields(self, destination: Destination, jobs: Sequence[str], field: str) -> Iterator[str]:
        """Yield a field of the jobs' records, without those that do not have it."""
        prefix = keys.prefix_of(destination.account)
        for at in range(0, len(jobs), _CHUNK):
            with store_errors(), self._client.pipeline(transaction=False) as pipeline:
                for job_id in jobs[at : at + _CHUNK]:
                    pipeline.hget(f"{prefix}job:{job_id}", field)
                yield from (value.decode() for value in pipeline.execute() if value is not None)


def _pending_key(destination: Destination) -> str:
    return f"{keys.prefix_of(destination.account)}hook-pending"


def _key(kind: str, destination: Destination) -> str:
    return f"{keys.prefix_of(destination.account)}{kind}:{'|'.join(destination)}"


def _state(row: Iterable[bytes | None], clocks: Clocks) -> EndpointState:
    field = {name: (value or b"").decode() for name, value in zip(_FIELDS, row, strict=True)}
    open_until = clocks.ahead(int(field["open_until"] or 0))
    pace = Pace.unpacked(field["pace"] or f"0 0 0 0 {DEFAULT_CONCURRENCY}")
    return EndpointState(
        disabled=field["disabled"],
        disabled_us=int(field["disabled_at"]) * 1000 if field["disabled_at"] else None,
        breaker=_breaker(int(field["opened"] or 0), open_until),
        open_until_us=open_until,
        slow_until_us=clocks.ahead(int(field["slow_until"] or 0)),
        failures=int(field["fails"] or 0),
        in_flight=int(field["inflight"] or 0),
        sequence=int(field["sequence"] or 0),
        concurrency=pace.concurrency,
    )


def _breaker(opened: int, open_until_us: int | None) -> Breaker:
    if not opened:
        return Breaker.CLOSED
    return Breaker.PROBING if open_until_us is None else Breaker.OPEN


def _moment(unix_us: int | None) -> str | None:
    return None if unix_us is None else rfc3339(unix_us)
