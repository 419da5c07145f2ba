"""Jobs from the Redis stream: each leaves it once it is on record, and none is lost with its worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis

from worker.engine import stream
from worker.engine.intake import Entry, Intake
from worker.engine.stream import GROUP, STREAM, StreamIntake
from worker.errors import StoreUnavailable
from worker.intake import Broken, Request
from worker.ports import Source
from worker.state.connection import connect

JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


class Taker:
    """Takes what an intake would."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def contents(self) -> list[Request | Broken]:
        return [entry.read() for entry in self.entries]

    def ids(self) -> list[str]:
        return [content.fields["id"] for content in self.contents() if isinstance(content, Request)]


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    monkeypatch.setattr(stream, "BLOCK_MS", 20)
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def intake(client: redis.Redis, taker: Taker) -> StreamIntake:
    return worker_on(client, taker)


def worker_on(client: redis.Redis, taker: Taker) -> StreamIntake:
    return StreamIntake(client, cast(Intake, taker))


def add(client: redis.Redis, job_id: str) -> None:
    client.xadd(STREAM, {"job": json.dumps(JOB | {"id": job_id})})


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])


def test_an_entry_is_handed_over_as_a_request(
    client: redis.Redis, intake: StreamIntake, taker: Taker
) -> None:
    """The job's fields, the source, and the bytes as they came; entries added before any worker too."""
    add(client, "a")
    intake.turn()
    (entry,) = taker.entries
    assert entry.read() == Request(JOB, Source.STREAM)
    assert json.loads(entry.raw) == JOB and not entry.redelivered and entry.source is Source.STREAM


def test_entries_come_in_order_and_once(client: redis.Redis, intake: StreamIntake, taker: Taker) -> None:
    """What was handed over is not read again, whether it is done or not."""
    for name in "abc":
        add(client, name)
    intake.turn()
    add(client, "d")
    for _ in range(25):
        intake.turn()
    assert taker.ids() == list("abcd")


def test_an_entry_that_is_done_leaves_the_stream(
    client: redis.Redis, intake: StreamIntake, taker: Taker
) -> None:
    """Nothing of it is left; one that is not done stays."""
    add(client, "a")
    add(client, "b")
    intake.turn()
    taker.entries[0].done()
    assert client.xlen(STREAM) == 1 and pending(client) == 1
    taker.entries[1].done()
    assert client.xlen(STREAM) == 0 and pending(client) == 0


def test_workers_share_the_stream(client: redis.Redis, intake: StreamIntake, taker: Taker) -> None:
    """An entry goes to one worker only."""
    other = Taker()
    second = worker_on(client, other)
    for name in "abcd":
        add(client, name)
        second.turn()
        intake.turn()
    assert sorted(taker.ids() + other.ids()) == list("abcd")


def test_a_lost_workers_entries_are_claimed(
    client: redis.Redis, intake: StreamIntake, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker took and never finished goes to another, said to be redelivered, and can be finished there."""
    lost = Taker()
    add(client, "a")
    worker_on(client, lost).turn()
    assert lost.ids() == ["a"]
    monkeypatch.setattr(stream, "ABANDONED_MS", 0)
    intake.turn()
    assert taker.ids() == ["a"] and taker.entries[0].redelivered
    taker.entries[0].done()
    assert client.xlen(STREAM) == 0 and pending(client) == 0


def test_a_worker_does_not_claim_what_it_has_in_hand(
    client: redis.Redis, intake: StreamIntake, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long an entry of its own takes, it is not handed over twice."""
    monkeypatch.setattr(stream, "ABANDONED_MS", 0)
    add(client, "a")
    for _ in range(25):
        intake.turn()
    assert taker.ids() == ["a"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"jab": "{}"}, "the entry has no field `job`"),
        ({"job": "{"}, "not valid JSON"),
        ({"job": "[]"}, "not a JSON object"),
        ({"job": b"\xff\xfe\x00"}, "not valid JSON"),
        ({"job": "x" * 70_000}, "larger than 65536 bytes"),
    ],
)
def test_an_entry_that_is_no_job_is_handed_over_as_broken(
    client: redis.Redis, intake: StreamIntake, taker: Taker, fields: Any, reason: str
) -> None:
    """With the reason, so that it is buried and leaves the stream; those behind it are read as ever."""
    client.xadd(STREAM, fields)
    add(client, "b")
    intake.turn()
    assert taker.contents() == [Broken(reason), Request(JOB | {"id": "b"}, Source.STREAM)]
    assert taker.entries[0].raw
    taker.entries[0].done()
    assert client.xlen(STREAM) == 1


def test_a_worker_takes_no_more_than_it_can_hold(
    client: redis.Redis, intake: StreamIntake, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many in hand as may be, the rest stays in the stream for others."""
    monkeypatch.setattr(stream, "IN_HAND_MOST", 3)
    monkeypatch.setattr(stream, "BATCH_MOST", 2)
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
    client: redis.Redis, intake: StreamIntake, taker: Taker
) -> None:
    """Deleted under a reading worker, it comes back with the next entry."""
    add(client, "a")
    intake.turn()
    client.delete(STREAM)
    add(client, "b")
    for _ in range(3):
        intake.turn()
    assert taker.ids() == ["a", "b"]


def test_an_entry_that_was_trimmed_is_no_job(
    client: redis.Redis, intake: StreamIntake, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a producer's MAXLEN cut away while a lost worker had it is neither claimed nor buried."""
    add(client, "a")
    worker_on(client, Taker()).turn()
    client.xtrim(STREAM, maxlen=0, approximate=False)
    monkeypatch.setattr(stream, "ABANDONED_MS", 0)
    intake.turn()
    assert taker.entries == []


def test_an_acknowledgement_that_fails_is_made_up_for(
    client: redis.Redis, intake: StreamIntake, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Redis away the entry stays pending, nothing is raised, and it is claimed and finished later."""
    add(client, "a")
    intake.turn()
    client.replicaof("127.0.0.1", "1")
    try:
        taker.entries[0].done()
    finally:
        client.replicaof("NO", "ONE")
    assert pending(client) == 1
    monkeypatch.setattr(stream, "ABANDONED_MS", 0)
    for _ in range(stream.CLAIM_EVERY_TURNS):
        intake.turn()
    taker.entries[-1].done()
    assert len(taker.entries) == 2 and client.xlen(STREAM) == 0


def test_a_store_that_takes_no_writes_is_unavailable(client: redis.Redis, intake: StreamIntake) -> None:
    """The loop is told, and tries again."""
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            intake.turn()
    finally:
        client.replicaof("NO", "ONE")
    intake.turn()
