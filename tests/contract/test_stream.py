"""Jobs from the Redis stream: each leaves it once it is on record, and none is lost with its worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.failpoints import FailpointReached
from worker.inbound.redis_lists import FETCH_BYTES
from worker.inbound.stream import GROUP, STREAM, StreamSource
from worker.inbound.upkeep import ABANDONED_SECONDS, KEEP_SECONDS

JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def intake(client: redis.Redis, taker: Taker, clock: FakeClock) -> StreamSource:
    return worker_on(client, taker, clock)


def worker_on(
    client: redis.Redis, taker: Taker, clock: FakeClock | None = None, **bounds: Any
) -> StreamSource:
    return StreamSource(client, taker, clock or FakeClock(), listen_seconds=0.02, **bounds)


def turn_later(intake: StreamSource, clock: FakeClock) -> None:
    """A turn in which all is due that a worker does now and then."""
    clock.advance(KEEP_SECONDS)
    intake.turn()


def add(client: redis.Redis, job_id: str) -> None:
    client.xadd(STREAM, {"job": json.dumps(JOB | {"id": job_id})})


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])


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
    """What was handed over is not read again, whether it is done or not."""
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


def test_a_lost_workers_entries_are_claimed(client: redis.Redis, taker: Taker) -> None:
    """What a worker took and never finished goes to another, said to be redelivered, and can be finished there."""
    lost = Taker()
    add(client, "a")
    worker_on(client, lost).turn()
    assert lost.ids() == ["a"]
    worker_on(client, taker, abandoned_seconds=0).turn()
    assert taker.ids() == ["a"] and taker.entries[0].redelivered
    taker.entries[0].done()
    assert client.xlen(STREAM) == 0 and pending(client) == 0


def test_a_worker_does_not_claim_what_it_has_in_hand(
    client: redis.Redis, taker: Taker, clock: FakeClock
) -> None:
    """However long an entry of its own takes, it is not handed over twice."""
    intake = worker_on(client, taker, clock, abandoned_seconds=0)
    add(client, "a")
    for _ in range(5):
        turn_later(intake, clock)
    assert taker.ids() == ["a"]


def age(client: redis.Redis, seconds: float) -> None:
    """Let no consumer have seen its pending entries for so long."""
    for entry in cast(Any, client.xpending_range(STREAM, GROUP, "-", "+", 1000)):
        name, entry_id = entry["consumer"], entry["message_id"]
        client.xclaim(STREAM, GROUP, name, 0, [entry_id], idle=round(seconds * 1000), justid=True)


def test_a_living_workers_entries_are_left_to_it(
    client: redis.Redis, intake: StreamSource, taker: Taker, clock: FakeClock
) -> None:
    """It keeps them, however long they take; what it was given and never heard of is abandoned."""
    add(client, "a")
    slow, slow_clock = Taker(), FakeClock()
    slow_worker = worker_on(client, slow, slow_clock)
    slow_worker.turn()
    add(client, "unheard")
    ((_, [(unheard, _)]),) = cast(Any, client.xreadgroup(GROUP, own_name(client), {STREAM: ">"}, 1))
    for _ in range(3):
        age(client, ABANDONED_SECONDS)
        turn_later(slow_worker, slow_clock)
        turn_later(intake, clock)
    assert taker.ids() + slow.ids()[1:] == ["unheard"]
    assert unheard in entry_ids(client) and pending(client) == 2


def test_a_worker_whose_intake_is_stuck_is_relieved(
    client: redis.Redis, intake: StreamSource, taker: Taker, clock: FakeClock
) -> None:
    """It keeps nothing and takes nothing more, so that another worker gets what it has in hand (E1)."""
    add(client, "a")
    stuck, its_clock = Taker(), FakeClock()
    stuck_worker = worker_on(client, stuck, its_clock)
    stuck_worker.turn()
    stuck.stuck, stuck.room_bytes = True, 0
    age(client, ABANDONED_SECONDS)
    add(client, "b")
    turn_later(stuck_worker, its_clock)
    assert stuck.ids() == ["a"]
    turn_later(intake, clock)
    assert sorted(taker.ids()) == ["a", "b"]


def own_name(client: redis.Redis) -> str:
    (name,) = consumers(client)
    return name


def test_after_an_outage_the_living_speak_first(
    client: redis.Redis, intake: StreamSource, taker: Taker, clock: FakeClock
) -> None:
    """Nobody could keep anything meanwhile: each keeps what it has at once, and claims nothing yet."""
    add(client, "a")
    slow_clock = FakeClock()
    slow = worker_on(client, Taker(), slow_clock)
    slow.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        for worker, its_clock in ((slow, slow_clock), (intake, clock)):
            with pytest.raises(StoreUnavailable):
                turn_later(worker, its_clock)
    finally:
        client.replicaof("NO", "ONE")
    age(client, ABANDONED_SECONDS)
    intake.turn()
    slow.turn()
    for _ in range(2):
        turn_later(intake, clock)
    assert taker.ids() == []


def test_many_abandoned_entries_are_claimed_without_a_pause(client: redis.Redis, taker: Taker) -> None:
    """Batch after batch, up to what a worker can hold."""
    intake = worker_on(client, taker, max_batch=2, max_in_hand=4)
    for name in "abcde":
        add(client, name)
    lost = worker_on(client, Taker(), max_batch=2)
    for _ in range(3):
        lost.turn()
    age(client, ABANDONED_SECONDS)
    for _ in range(3):
        intake.turn()
    assert taker.ids() == list("abcd")


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
    """With the reason, so that it is buried and leaves the stream; those behind it are read as ever."""
    client.xadd(STREAM, fields)
    add(client, "b")
    intake.turn()
    intake.turn()
    assert taker.contents() == [Broken(reason), Submission(JOB | {"id": "b"}, Source.STREAM)]
    assert taker.entries[0].raw
    taker.entries[0].done()
    assert client.xlen(STREAM) == 1


def test_an_entry_with_two_jobs_is_broken(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """Neither is dialled: a client's reply as a map would show the last one alone (C9)."""
    second = json.dumps(JOB | {"id": "b"})
    untyped: Any = client
    untyped.execute_command("XADD", STREAM, "*", "job", json.dumps(JOB), "job", second)
    intake.turn()
    assert taker.contents() == [Broken("the entry must have one field `job`")]
    assert b'"b"' in taker.entries[0].raw and b'"a"' in taker.entries[0].raw


def test_a_worker_takes_no_more_than_it_can_hold(client: redis.Redis, taker: Taker) -> None:
    """With as many in hand as may be, the rest stays in the stream for others."""
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


def test_an_entry_that_was_trimmed_is_no_job(client: redis.Redis, taker: Taker) -> None:
    """What a producer's MAXLEN cut away while a lost worker had it is neither claimed nor buried."""
    add(client, "a")
    worker_on(client, Taker()).turn()
    client.xtrim(STREAM, maxlen=0, approximate=False)
    worker_on(client, taker, abandoned_seconds=0).turn()
    assert taker.entries == []


def test_an_acknowledgement_that_fails_is_made_up_for(
    client: redis.Redis, taker: Taker, clock: FakeClock
) -> None:
    """With Redis away the entry stays pending, nothing is raised, and it is claimed and finished later."""
    intake = worker_on(client, taker, clock, abandoned_seconds=0)
    add(client, "a")
    intake.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        taker.entries[0].done()
    finally:
        client.replicaof("NO", "ONE")
    assert pending(client) == 1
    turn_later(intake, clock)
    taker.entries[-1].done()
    assert len(taker.entries) == 2 and client.xlen(STREAM) == 0


def test_a_store_that_takes_no_writes_is_unavailable(client: redis.Redis, intake: StreamSource) -> None:
    """The loop is told, and tries again."""
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            intake.turn()
    finally:
        client.replicaof("NO", "ONE")
    intake.turn()


def consumers(client: redis.Redis) -> list[str]:
    return [consumer["name"].decode() for consumer in cast(Any, client.xinfo_consumers(STREAM, GROUP))]


def served(client: redis.Redis) -> None:
    """A worker that had an entry, finished it, and is there no more."""
    taker = Taker()
    add(client, "x")
    worker_on(client, taker).turn()
    taker.entries[0].done()


def test_a_worker_that_ends_leaves_the_group(client: redis.Redis, intake: StreamSource, taker: Taker) -> None:
    """Its consumer is gone, the others' stay."""
    served(client)
    (other,) = consumers(client)
    add(client, "a")
    intake.turn()
    taker.entries[0].done()
    assert len(consumers(client)) == 2
    intake.close()
    assert consumers(client) == [other]


def test_what_is_not_on_record_is_handed_back(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """Another worker claims it at once, nothing is forgotten, and what others claimed before stays theirs."""
    for name in "abc":
        add(client, name)
    intake.turn()
    taker.entries[0].done()
    client.xclaim(STREAM, GROUP, "third", 0, [entry_ids(client)[1]], justid=True)
    intake.close()
    assert pending(client) == 2 and len(consumers(client)) == 2
    other = Taker()
    worker_on(client, other).turn()
    assert other.ids() == ["b"] and other.entries[0].redelivered


def entry_ids(client: redis.Redis) -> list[bytes]:
    return [entry_id for entry_id, _ in cast(Any, client.xrange(STREAM))]


def test_leaving_a_stream_that_is_gone_is_no_error(client: redis.Redis, intake: StreamSource) -> None:
    """Nor is leaving while Redis takes no writes."""
    add(client, "a")
    intake.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        intake.close()
    finally:
        client.replicaof("NO", "ONE")
    client.delete(STREAM)
    intake.close()


def test_consumers_of_lost_workers_are_removed(
    client: redis.Redis, intake: StreamSource, taker: Taker, clock: FakeClock
) -> None:
    """Those that have been idle for long and have nothing pending; never one with an entry in hand.

    The worker that looks may be a consumer itself: on Valkey 9 and Redis 8 a look that finds nothing makes it one, on
    Redis 7 it does not (D1).
    """
    add(client, "a")
    worker_on(client, Taker()).turn()
    (holding,) = consumers(client)
    for _ in range(3):
        served(client)
    lost = set(consumers(client)).difference([holding])
    intake.turn()
    assert len(lost) == 3 and lost < set(consumers(client))
    turn_later(worker_on(client, taker, clock, lost_consumer_seconds=0), clock)
    assert not lost & set(consumers(client)) and holding in consumers(client) and pending(client) == 1


def test_a_worker_whose_consumer_was_removed_reads_on(
    client: redis.Redis, intake: StreamSource, taker: Taker
) -> None:
    """One that slept for an hour is as good as new."""
    add(client, "a")
    intake.turn()
    taker.entries[0].done()
    (own,) = consumers(client)
    client.xgroup_delconsumer(STREAM, GROUP, own)
    add(client, "b")
    intake.turn()
    assert taker.ids() == ["a", "b"] and consumers(client) == [own]


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


def test_a_lost_workers_large_entries_are_claimed_cut(client: redis.Redis, taker: Taker) -> None:
    """As they are read, so they are claimed: by size and beginning (E6)."""
    client.xadd(STREAM, {"job": "y" * (8 * 2**20), "other": "z"})
    client.xadd(STREAM, {"jab": "y" * (8 * 2**20)})
    lost = worker_on(client, Taker())
    lost.turn()
    lost.turn()
    intake = worker_on(client, taker, abandoned_seconds=0)
    for _ in range(3):
        intake.turn()
    assert [entry.cut.size for entry in taker.entries if entry.cut] == [8 * 2**20, 8 * 2**20 + 4]
    assert all(entry.redelivered for entry in taker.entries)


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


@pytest.mark.parametrize("spoil", ["set", "rpush", "sadd"])
def test_a_key_of_another_type_is_named(
    client: redis.Redis, intake: StreamSource, taker: Taker, spoil: str
) -> None:
    """Without an error, which other ways in would suffer from; put right, it is read without a restart (B8)."""
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
    client: redis.Redis, intake: StreamSource, taker: Taker, clock: FakeClock
) -> None:
    """It hears of an entry at once, asks Redis once a second meanwhile, and looks often after an entry came.

    That the first look makes the group rings its bell once.
    """
    for _ in range(4):
        clock.advance(1)
        intake.turn()
    assert listeners(client) == 1
    add(client, "a")
    intake.turn()
    assert taker.ids() == ["a"] and listeners(client) == 0
