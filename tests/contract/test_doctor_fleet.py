"""What `doctor` says of the workers and of the growth of Redis, from what they left there."""

from __future__ import annotations

import pytest
import redis

from tests.doubles.clocks import StoredClock
from tests.doubles.samples import report
from worker.cli.doctor import fleet, servers
from worker.cli.doctor.finding import Finding, Grade
from worker.core.figures import StoreFacts
from worker.core.fleet import Report
from worker.core.forecast import Sample
from worker.errors import StoreUnavailable
from worker.settings import Settings
from worker.state import keys
from worker.state.memory import EVERY_SECONDS, MAX_SAMPLES, RedisMemory
from worker.state.workers import RedisWorkers

NOW = 1_800_000_000.0
HOUR = 3600.0
NOTHING = StoreFacts()


def enter(client: redis.Redis, *reports: Report) -> None:
    """Let a worker report each of these."""
    for one in reports:
        RedisWorkers(client).report(one, 1.0, 0.0)


def found(client: redis.Redis, facts: StoreFacts = NOTHING) -> dict[str, Finding]:
    """Return the findings by their subjects."""
    return {one.name: one for one in fleet.check(fleet.look(client), facts, NOW)}


def test_workers_that_live_are_counted(client: redis.Redis) -> None:
    """Before the first start there is nothing wrong."""
    assert found(client) == {"workers": Finding.ok("workers", "none has started")}
    enter(client, report(host="a"), report(host="b"))
    told = found(client)
    assert told["workers"] == Finding.ok("workers", "2 alive")
    assert told["accounts files"].grade is Grade.OK and "abc" in told["accounts files"].text


def test_lost_worker_is_named_by_its_host(client: redis.Redis, clock: StoredClock) -> None:
    """A warning while others live, a failure if none does."""
    enter(client, report(host="gone"))
    clock.advance(20)
    assert found(client)["workers"].grade is Grade.FAIL
    enter(client, report(host="a"))
    told = found(client)["workers"]
    assert told.grade is Grade.WARN and told.text.startswith("1 alive; 1 fell silent") and "gone" in told.text
    assert "accounts files" in found(client)


def test_none_counts_as_lost_while_redis_takes_no_writes(client: redis.Redis, clock: StoredClock) -> None:
    """They live and cannot say so; what is wrong is told by "Redis writes"."""
    enter(client, report())
    clock.advance(20)
    assert "workers" not in found(client, StoreFacts(StoreUnavailable("full disk")))


def test_different_accounts_files_are_told_with_their_hosts(client: redis.Redis) -> None:
    """One knows where to look; a worker that is gone does not count."""
    enter(client, report(host="a"), report(host="b"), report(host="c", accounts="def"))
    told = found(client)["accounts files"]
    assert told.grade is Grade.WARN
    assert told.text == "workers have different ones: abc on a, b; def on c"


def test_refused_accounts_file_is_told_with_its_hosts(client: redis.Redis) -> None:
    """One knows what is wrong with it without the log of that machine."""
    enter(
        client,
        report(host="a"),
        report(host="b", refuses="no such key"),
        report(host="c", refuses="no such key"),
    )
    told = found(client)["refused accounts file"]
    assert told.grade is Grade.FAIL and told.text == "on b, c: no such key"


@pytest.mark.parametrize(
    ("used", "grade", "text"),
    [
        ((100, 200, 300), Grade.WARN, "full in 7 hours"),
        ((100, 101, 102), Grade.OK, "full in 898 hours"),
        ((100, 100, 100), Grade.OK, "not grown"),
    ],
)
def test_growth_is_carried_on_to_the_limit(
    client: redis.Redis, used: tuple[int, int, int], grade: Grade, text: str
) -> None:
    """Within a day is a warning, with what to do."""
    memory = RedisMemory(client)
    memory.note(Sample(NOW - 2 * HOUR, used[0]))
    memory.note(Sample(NOW - 1 * HOUR, used[1]))
    told = found(client, StoreFacts(None, 0.0, used[2], 1000))["Redis growth"]
    assert told.grade is grade and text in told.text
    assert bool(told.remedy) is (grade is Grade.WARN)


def test_samples_are_kept_one_each_five_minutes_for_a_day(client: redis.Redis) -> None:
    """However often workers note one, and whichever of them."""
    at = NOW
    for n in range(MAX_SAMPLES + 5):
        RedisMemory(client).note(Sample(at, n))
        known = RedisMemory(client).note(Sample(at + EVERY_SECONDS - 1, 0))
        at += EVERY_SECONDS
    assert known == RedisMemory(client).samples()
    assert client.llen(keys.MEMORY) == len(known) == MAX_SAMPLES
    assert (known[0].used_bytes, known[-1].used_bytes) == (5, MAX_SAMPLES + 4)


def test_doctor_reads_it_all_from_redis(client: redis.Redis, redis_url: str) -> None:
    """Keys of another type are told as such, and end no check."""
    enter(client, report())
    settings = Settings.from_env({"REDIS_URL": redis_url})
    assert "workers" in {one.name for one in servers.store(settings)}
    for key in (keys.WORKERS, keys.MEMORY):
        client.delete(key)
        client.set(key, "foreign")
    told = list(servers.store(settings))
    wrong = [one.text for one in told if one.name == "Redis keys"]
    assert len(wrong) == 2
    assert {one.name: one.text for one in told}["workers"] == "none has started"
