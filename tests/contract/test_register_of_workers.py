"""What workers tell of themselves in Redis, and which of them is elected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.doubles.clocks import FakeClock, StoredClock
from tests.doubles.samples import report
from tests.processes import wait_until
from worker.core.fleet import KEPT_SECONDS
from worker.engine.presence import BEAT_SECONDS, ELECTED_SECONDS, Presence
from worker.errors import WrongKey
from worker.state import keys
from worker.state.workers import RedisWorkers

QUICKLY = 0.05
"""Seconds for which an election lasts in tests that wait for its end."""


class Worker:
    """One worker among those of a test; `host` is its name."""

    def __init__(self, client: redis.Redis, clock: FakeClock, host: str) -> None:
        self.register = RedisWorkers(client)
        self.presence = Presence(self.register, lambda: report(host=host), clock)


Start = Callable[[str], Worker]


@pytest.fixture
def start(client: redis.Redis, clock: StoredClock) -> Start:
    """Starts a worker of this name, with its first report."""

    def started(host: str) -> Worker:
        worker = Worker(client, clock, host)
        worker.presence.turn()
        return worker

    return started


def beat(clock: FakeClock, seconds: float, *workers: Worker) -> None:
    """Let time pass, with the reports of these workers."""
    for _ in range(round(seconds / BEAT_SECONDS)):
        clock.advance(BEAT_SECONDS)
        for worker in workers:
            worker.presence.turn()


def found(client: redis.Redis) -> tuple[list[str], list[str]]:
    """Return the names of the workers that live, and of those that were lost."""
    fleet = RedisWorkers(client).fleet()
    living, lost = (sorted(one.host for one in workers) for workers in (fleet.living, fleet.lost))
    return living, lost


def test_report_is_kept_as_json_with_its_time_first(
    client: redis.Redis, clock: StoredClock, start: Start
) -> None:
    """Scripts and people read the same entry."""
    start("a")
    (entry,) = client.hvals(keys.WORKERS)
    told: dict[str, Any] = json.loads(entry)
    assert next(iter(told)) == "heard_ms" and told.pop("heard_ms") == clock.steady_us // 1000
    assert told == {
        "places": 50,
        "used": 3,
        "paused": False,
        "host": "a",
        "version": "1.2",
        "accounts": "abc",
        "refuses": "",
        "drained": "",
    }
    assert list(RedisWorkers(client).fleet().living) == [report(host="a")]


def test_report_of_an_earlier_version_counts(client: redis.Redis, start: Start) -> None:
    """During an upgrade, workers live that do not tell whether they refuse their accounts file."""
    start("a")
    ((name, entry),) = client.hgetall(keys.WORKERS).items()
    told = {field: value for field, value in json.loads(entry).items() if field != "refuses"}
    client.hset(keys.WORKERS, name, json.dumps(told))
    assert list(RedisWorkers(client).fleet().living) == [report(host="a")]


def test_silent_worker_is_lost_and_forgotten_after_an_hour(
    client: redis.Redis, clock: StoredClock, start: Start
) -> None:
    """Between living and lost there is a time in which it counts as neither."""
    living, _ = start("living"), start("killed")
    beat(clock, 10, living)
    assert found(client) == (["killed", "living"], [])
    beat(clock, 5, living)
    assert found(client) == (["living"], [])
    beat(clock, 1, living)
    assert found(client) == (["living"], ["killed"])
    clock.advance(KEPT_SECONDS)
    assert living.presence.turn() and found(client) == (["living"], [])
    assert client.hlen(keys.WORKERS) == 1


def test_lost_worker_that_is_heard_again_lives(client: redis.Redis, clock: StoredClock, start: Start) -> None:
    """A process that was frozen comes back as the same worker."""
    living, frozen = start("living"), start("frozen")
    beat(clock, 20, living)
    assert found(client) == (["living"], ["frozen"])
    beat(clock, 1, frozen)
    assert found(client) == (["frozen", "living"], [])


def test_worker_that_starts_takes_the_place_of_the_one_silent_longest(
    client: redis.Redis, clock: StoredClock, start: Start
) -> None:
    """One new worker is one loss less."""
    living, _ = start("living"), start("first")
    second = start("second")
    beat(clock, 5, living, second)
    beat(clock, 20, living)
    assert found(client) == (["living"], ["first", "second"])
    new = start("new")
    assert found(client) == (["living", "new"], ["second"])
    beat(clock, 60, living, new)
    assert found(client) == (["living", "new"], ["second"])


def test_worker_started_again_at_once_takes_the_place_of_its_predecessor(
    client: redis.Redis, clock: StoredClock, start: Start
) -> None:
    """The supervisor starts it before the killed one counts as lost: then nothing is ever lost."""
    living, _ = start("living"), start("killed")
    beat(clock, 2, living)
    again = start("again")
    for _ in range(30):
        beat(clock, 1, living, again)
        assert found(client)[1] == []
    assert client.hlen(keys.WORKERS) == 2


def test_worker_lost_after_another_started_counts(
    client: redis.Redis, clock: StoredClock, start: Start
) -> None:
    """A worker takes the place only of those that fell silent before its own start."""
    living, killed = start("living"), start("killed")
    more = start("more")
    beat(clock, 5, living, killed, more)
    beat(clock, 60, living, more)
    assert found(client) == (["living", "more"], ["killed"])


def test_worker_that_stops_leaves_nothing(client: redis.Redis, start: Start) -> None:
    """Neither its entry nor its election stays."""
    worker = start("a")
    worker.presence.leave()
    assert not client.exists(keys.WORKERS, keys.ELECTED)
    assert not worker.presence.serves()


def test_none_lives_once_all_are_gone(client: redis.Redis) -> None:
    """The store's clock stands still without workers; a reader knows it all the same."""
    RedisWorkers(client).report(report(), ELECTED_SECONDS, 0.0)
    assert len(RedisWorkers(client).fleet().living) == 1
    last, now, began = map(int, (client.get(keys.CLOCK) or b"").split())
    client.set(keys.CLOCK, f"{last - 60_000_000} {now} {began}")
    assert found(client) == ([], ["host"])


def test_pause_of_the_store_makes_none_lost(client: redis.Redis, clock: StoredClock, start: Start) -> None:
    """Redis was away for a minute: nobody could report, and all are there."""
    workers = start("a"), start("b")
    clock.pass_unasked(60)
    workers[0].presence.turn()
    assert found(client) == (["a", "b"], [])


def test_one_worker_is_elected_while_it_reports(clock: StoredClock, start: Start) -> None:
    """The first one serves from its first report on, and no other one."""
    first, second = start("first"), start("second")
    beat(clock, 10, first, second)
    assert (first.presence.serves(), second.presence.serves()) == (True, False)


def test_election_passes_on_at_once_when_its_holder_stops(clock: StoredClock, start: Start) -> None:
    """A rolling restart leaves at most one beat without a server."""
    first, second = start("first"), start("second")
    first.presence.leave()
    beat(clock, 1, second)
    assert (first.presence.serves(), second.presence.serves()) == (False, True)


def test_election_ends_with_its_time(client: redis.Redis) -> None:
    """A holder that was killed has no say after that; while it reports, nobody else is elected."""
    first, second = RedisWorkers(client), RedisWorkers(client)
    assert first.report(report(), QUICKLY, 0.0) == (True, False)
    assert client.pttl(keys.ELECTED) <= QUICKLY * 1000
    wait_until(lambda: second.report(report(), ELECTED_SECONDS, 0.0)[0], "the second is elected")
    assert first.report(report(), ELECTED_SECONDS, 0.0) == (False, False)
    first.leave()
    assert second.report(report(), ELECTED_SECONDS, 0.0) == (True, False)


def test_full_redis_keeps_the_election_and_the_reports(client: redis.Redis, start: Start) -> None:
    """The metrics of all workers are served when they are needed most."""
    worker = start("a")
    client.config_set("maxmemory", "1")
    try:
        worker.presence.turn()
        assert worker.presence.serves()
        start("b").presence.leave()
    finally:
        client.config_set("maxmemory", "0")
    assert found(client) == (["a"], [])


@pytest.mark.parametrize("key", [keys.WORKERS, keys.ELECTED])
def test_key_of_another_type_stops_the_rest_of_nothing(client: redis.Redis, start: Start, key: str) -> None:
    """Without its entry a worker can be elected; without an election it can be entered."""
    client.lpush(key, "foreign")
    worker = start("a")
    assert worker.presence.serves() is (key == keys.WORKERS)
    worker.presence.leave()
    assert client.lrange(key, 0, -1) == [b"foreign"]
    if key == keys.WORKERS:
        with pytest.raises(WrongKey):
            worker.register.fleet()


def test_entry_that_no_worker_wrote_is_passed_over(client: redis.Redis, start: Start) -> None:
    """It is neither alive nor lost, and is removed as one that is too old."""
    client.hset(keys.WORKERS, "foreign", "no report")
    start("a")
    assert found(client) == (["a"], []) and client.hlen(keys.WORKERS) == 1
