"""Jobs from the Redis stream: each is handed over once, and leaves the stream once it is on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from tests.contract.streamed import JOB, add, pending, worker_on
from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.failpoints import FailpointReached
from worker.inbound.redis_lists import FETCH_BYTES
from worker.inbound.stream import STREAM, StreamSource


def test_an_entry_is_handed_over_as_a_request(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """The job's fields, the source, and the bytes as they came; entries added before any worker too."""
    add(client, "a")
    intake.turn()
    (entry,) = taker.entries
    assert entry.read() == Submission(JOB, Source.STREAM)
    assert json.loads(entry.raw) == JOB and not entry.redelivered and entry.source is Source.STREAM


def test_entries_come_in_order_and_once(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """An entry that was handed over is not read again, done or not."""
    for name in "abc":
        add(client, name)
    intake.turn()
    add(client, "d")
    for _ in range(25):
        intake.turn()
    assert taker.ids() == list("abcd")


def test_an_entry_that_is_done_leaves_the_stream(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """Nothing of it is left; one that is not done stays."""
    add(client, "a")
    add(client, "b")
    intake.turn()
    taker.entries[0].done()
    assert client.xlen(STREAM) == 1 and pending(client) == 1
    taker.entries[1].done()
    assert client.xlen(STREAM) == 0 and pending(client) == 0


def test_workers_share_the_stream(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """An entry goes to one worker only."""
    other = Taker()
    second = worker_on(client, other)
    for name in "abcd":
        add(client, name)
        second.turn()
        intake.turn()
    assert sorted(taker.ids() + other.ids()) == list("abcd")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"jab": "{}"}, "the entry must have one field `job`"),
        ({"job": "{"}, "not valid JSON"),
        ({"job": "[]"}, "not a JSON object"),
        ({"job": b"\xff\xfe\x00"}, "not valid JSON"),
        ({"job": "x" * 70_000}, "larger than 65536 bytes"),
    ],
)
def test_an_entry_that_is_no_job_is_handed_over_as_broken(
    client: redis.Redis, intake: StreamSource, taker: Taker, fields: Any, reason: str
) -> None:
    """Such an entry carries the reason, is buried and leaves the stream; those after it are read as usual."""
    client.xadd(STREAM, fields)
    add(client, "b")
    intake.turn()
    intake.turn()
    assert taker.contents() == [Broken(reason), Submission(JOB | {"id": "b"}, Source.STREAM)]
    assert taker.entries[0].raw
    taker.entries[0].done()
    assert client.xlen(STREAM) == 1


def test_an_entry_with_two_jobs_is_broken(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """Neither job is dialled: a client that reads the entry as a map would see only the last one (C9)."""
    second = json.dumps(JOB | {"id": "b"})
    untyped: Any = client
    untyped.execute_command("XADD", STREAM, "*", "job", json.dumps(JOB), "job", second)
    intake.turn()
    assert taker.contents() == [Broken("the entry must have one field `job`")]
    assert b'"b"' in taker.entries[0].raw and b'"a"' in taker.entries[0].raw


def test_a_worker_takes_no_more_than_it_can_hold(client: redis.Redis, taker: Taker) -> None:
    """Entries beyond a worker's limit stay in the stream for others."""
    intake = worker_on(client, taker, max_batch=2, max_in_hand=3)
    for name in "abcdefg":
        add(client, name)
    for _ in range(5):
        intake.turn()
    assert taker.ids() == list("abcd")
    for entry in taker.entries[:]:
        entry.done()
    intake.turn()
    assert taker.ids() == list("abcdef")


def test_a_stream_that_was_deleted_is_made_anew(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """Deleted under a reading worker, it comes back with the next entry."""
    add(client, "a")
    intake.turn()
    client.delete(STREAM)
    add(client, "b")
    for _ in range(3):
        intake.turn()
    assert taker.ids() == ["a", "b"]


def test_a_store_that_takes_no_writes_is_unavailable(client: redis.Redis, intake: StreamSource) -> None:
    """The loop is told, and tries again."""
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            intake.turn()
    finally:
        client.replicaof("NO", "ONE")
    intake.turn()


def test_an_empty_look_is_no_fetch(
    client: redis.Redis, intake: StreamSource, armed: Callable[[str], None]
) -> None:
    """A fault that waits for something to have been taken is not spent on nothing."""
    armed("fetch.after=raise")
    intake.turn()
    add(client, "a")
    with pytest.raises(FailpointReached):
        intake.turn()


def test_entries_too_large_are_handed_over_by_size_and_beginning(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """Each once, with its reason, and those behind them are read as ever; no reply outlasts its time (E6)."""
    text = '{"id": "' + "y" * (8 * 2**20)
    for _ in range(20):
        client.xadd(STREAM, {"job": text})
    add(client, "behind")
    for _ in range(30):
        intake.turn()
    *large, behind = taker.entries
    assert len(large) == 20 and isinstance(behind.read(), Submission)
    for entry in large:
        assert (entry.read(), entry.cut) == (Broken("larger than 65536 bytes"), Whole(len(text)))
        assert entry.raw == text[:8192].encode()


def test_a_reply_is_bounded_in_bytes(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """However many entries there are: one turn takes a part of them, and says that there is more (E6)."""
    for _ in range(150):
        client.xadd(STREAM, {"job": "y" * 60_000})
    assert intake.turn() == 0.0
    assert sum(len(entry.raw) for entry in taker.entries) < FETCH_BYTES + 8 * 60_000
    for _ in range(9):
        intake.turn()
    assert len(taker.entries) == 150


def test_no_more_is_read_than_there_is_room_for(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """The bound is in bytes, and common to all ways in (E6)."""
    add(client, "a")
    taker.room_bytes = 0
    assert intake.turn() > 0 and taker.entries == []
    taker.room_bytes = 1
    intake.turn()
    assert taker.ids() == ["a"]


def test_what_is_put_off_keeps_nothing_out(client: redis.Redis, taker: Taker) -> None:
    """Entries that wait for a part of the store do not count among those in hand (ADR 0029)."""
    add(client, "a")
    intake = StreamSource(client, taker, max_in_hand=1)
    intake.turn()
    add(client, "b")
    intake.turn()
    assert taker.ids() == ["a"]
    taker.put_off = 1
    intake.turn()
    assert taker.ids() == ["a", "b"]
    intake.close()


@pytest.mark.parametrize("spoil", ["set", "rpush", "sadd"])
def test_a_key_of_another_type_is_named(
    client: redis.Redis, intake: StreamSource, taker: Taker, spoil: str
) -> None:
    """A wrong key raises no error, which would harm other ways in; once repaired, it is read without a restart (B8)."""
    getattr(client, spoil)(STREAM, "x")
    assert intake.turn() == 1.0 and intake.wrong == {STREAM}
    intake.close()
    client.delete(STREAM)
    add(client, "a")
    intake.turn()
    assert taker.ids() == ["a"] and intake.wrong == frozenset()


def listeners(client: redis.Redis) -> int:
    return len(cast(Any, client.client_list(_type="pubsub")))


def test_in_quiet_times_it_listens(
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock
) -> None:
    """It hears of an entry at once, and looks often after an entry came.

    That the first look makes the group rings its bell once.
    """
    for _ in range(4):
        own_clock.advance(1)
        intake.turn()
    assert listeners(client) == 1
    add(client, "a")
    intake.turn()
    assert taker.ids() == ["a"] and listeners(client) == 0


def test_while_it_listens_it_asks_after_every_other_wait(
    client: redis.Redis, intake: StreamSource, own_clock: FakeClock
) -> None:
    """The bell may have failed."""
    for _ in range(4):
        own_clock.advance(1)
        intake.turn()
    count: Callable[[], int] = lambda: client.info("commandstats")["cmdstat_xreadgroup"]["calls"]  # noqa: E731
    before = count()
    for _ in range(8):
        intake.turn()
    assert count() - before == 4


@pytest.mark.parametrize("turns", [4, 5])
def test_what_it_left_behind_is_taken_as_soon_as_there_is_room(
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock, turns: int
) -> None:
    """For which no bell rings, however often it waited in vain."""
    taker.room_bytes = 0
    add(client, "a")
    for _ in range(turns):
        own_clock.advance(1)
        intake.turn()
    assert taker.ids() == [] and listeners(client) == 1
    taker.room_bytes = 2**24
    intake.turn()
    assert taker.ids() == ["a"]
