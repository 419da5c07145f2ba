"""Entries that lost workers took from the stream go to others; those of living workers stay theirs."""

from __future__ import annotations

from typing import Any, cast

import pytest
import redis

from tests.contract.streamed import add, pending, turn_later, worker_on
from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.errors import StoreUnavailable
from worker.inbound.stream import GROUP, STREAM, StreamSource
from worker.inbound.upkeep import ABANDONED_SECONDS


def test_a_lost_workers_entries_are_claimed(client: redis.Redis, taker: Taker) -> None:
    """An entry that a lost worker did not finish goes to another, marked as redelivered, and can be finished there."""
    lost = Taker()
    add(client, "a")
    worker_on(client, lost).turn()
    assert lost.ids() == ["a"]
    worker_on(client, taker, abandoned_seconds=0).turn()
    assert taker.ids() == ["a"] and taker.entries[0].redelivered
    taker.entries[0].done()
    assert client.xlen(STREAM) == 0 and pending(client) == 0


def test_a_worker_does_not_claim_what_it_has_in_hand(
    client: redis.Redis, taker: Taker, own_clock: FakeClock
) -> None:
    """However long an entry of its own takes, it is not handed over twice."""
    intake = worker_on(client, taker, own_clock, abandoned_seconds=0)
    add(client, "a")
    for _ in range(5):
        turn_later(intake, own_clock)
    assert taker.ids() == ["a"]


def age(client: redis.Redis, seconds: float) -> None:
    """Let no consumer have seen its pending entries for so long."""
    for entry in cast(Any, client.xpending_range(STREAM, GROUP, "-", "+", 1000)):
        name, entry_id = entry["consumer"], entry["message_id"]
        client.xclaim(STREAM, GROUP, name, 0, [entry_id], idle=round(seconds * 1000), justid=True)


def test_a_living_workers_entries_are_left_to_it(
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock
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
        turn_later(intake, own_clock)
    assert taker.ids() + slow.ids()[1:] == ["unheard"]
    assert unheard in entry_ids(client) and pending(client) == 2


def test_a_worker_whose_intake_is_stuck_is_relieved(
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock
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
    turn_later(intake, own_clock)
    assert sorted(taker.ids()) == ["a", "b"]


def own_name(client: redis.Redis) -> str:
    (name,) = consumers(client)
    return name


def test_after_an_outage_the_living_speak_first(
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock
) -> None:
    """Nobody could keep anything meanwhile: each keeps what it has at once, and claims nothing yet."""
    add(client, "a")
    slow_clock = FakeClock()
    slow = worker_on(client, Taker(), slow_clock)
    slow.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        for worker, its_clock in ((slow, slow_clock), (intake, own_clock)):
            with pytest.raises(StoreUnavailable):
                turn_later(worker, its_clock)
    finally:
        client.replicaof("NO", "ONE")
    age(client, ABANDONED_SECONDS)
    intake.turn()
    slow.turn()
    for _ in range(2):
        turn_later(intake, own_clock)
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


def test_an_entry_that_was_trimmed_is_no_job(client: redis.Redis, taker: Taker) -> None:
    """An entry that a producer's MAXLEN removed while a lost worker had it is neither claimed nor buried."""
    add(client, "a")
    worker_on(client, Taker()).turn()
    client.xtrim(STREAM, maxlen=0, approximate=False)
    worker_on(client, taker, abandoned_seconds=0).turn()
    assert taker.entries == []


def test_an_acknowledgement_that_fails_is_made_up_for(
    client: redis.Redis, taker: Taker, own_clock: FakeClock
) -> None:
    """If Redis is away the entry stays pending without an error, and is claimed and finished later."""
    intake = worker_on(client, taker, own_clock, abandoned_seconds=0)
    add(client, "a")
    intake.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        taker.entries[0].done()
    finally:
        client.replicaof("NO", "ONE")
    assert pending(client) == 1
    turn_later(intake, own_clock)
    taker.entries[-1].done()
    assert len(taker.entries) == 2 and client.xlen(STREAM) == 0


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
    """Leaving raises nothing while Redis takes no writes, nor once the stream is gone."""
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
    client: redis.Redis, intake: StreamSource, taker: Taker, own_clock: FakeClock
) -> None:
    """Consumers that have been idle for long are removed, but never one with an entry in hand.

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
    turn_later(worker_on(client, taker, own_clock, lost_consumer_seconds=0), own_clock)
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


def test_a_lost_workers_large_entries_are_claimed_cut(client: redis.Redis, taker: Taker) -> None:
    """Large entries are claimed as they are read: by size and beginning (E6)."""
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
