"""What a worker does with the lists of a Redis broker: it takes, keeps, acknowledges and takes over."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from tests.contract.filed_messages import INDEX, JOB, LARGE, UNACKED, age, is_filed, message, queued
from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.core.judging import Broken, Submission
from worker.errors import StoreUnavailable
from worker.failpoints import FailpointReached
from worker.inbound.listening import QUIET_SECONDS
from worker.inbound.redis_lists import (
    FETCH_BYTES,
    MAX_RESTORE,
    RedisLists,
)
from worker.inbound.redis_queue import BUSY_SECONDS, IDLE_SECONDS, RedisQueue
from worker.inbound.upkeep import ABANDONED_SECONDS, KEEP_SECONDS


class Worker:
    """One worker's queue, with a clock of its own."""

    def __init__(self, client: redis.Redis, **bounds: int) -> None:
        self.taker, self.clock, self.calls = Taker(), FakeClock(), 0
        self.queue = RedisQueue(client, self.taker, lambda: self.calls, self.clock, **bounds)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.queue.turn()


def listeners(client: redis.Redis) -> int:
    """Return how many connections are notified of changes to lists."""
    return len(cast(Any, client.client_list(_type="pubsub")))


class TestRedisQueue:
    """How a worker reads the lists."""

    def test_in_quiet_times_it_listens(self, client: redis.Redis) -> None:
        """A message in quiet times is taken at the next turn; then the worker polls often again, without a bell."""
        worker = Worker(client)
        for _ in range(3):
            worker.later(QUIET_SECONDS)
        assert listeners(client) == 1
        client.lpush("calls.7", message())
        worker.queue.turn()
        assert len(worker.taker.entries) == 1
        assert listeners(client) == 0

    def test_a_bell_that_does_not_ring_holds_nothing_up(self, client: redis.Redis) -> None:
        """Messages for which the bell did not ring are found by polling."""
        client.lpush("calls", message())
        worker = Worker(client)
        worker.clock.advance(QUIET_SECONDS)
        worker.queue.turn()
        assert len(worker.taker.entries) == 1
        assert listeners(client) == 0

    def test_it_looks_less_often_while_it_begins_many_calls(self, client: redis.Redis) -> None:
        """Each look takes time from them; with few calls, or none, a new message is found soon."""
        worker = Worker(client)
        pauses = []
        for calls in (0, 1, 40, 1):
            worker.clock.advance(0.1)
            worker.calls += calls
            pauses.append(worker.queue.turn())
        assert pauses == [IDLE_SECONDS, IDLE_SECONDS, BUSY_SECONDS, IDLE_SECONDS]

    def test_a_message_is_handed_over_and_acknowledged(self, client: redis.Redis) -> None:
        """It is filed until its entry is done."""
        body = base64.b64encode(json.dumps([[], JOB, {}]).encode()).decode()
        client.lpush("calls", message(body=body, **{"content-type": "application/json"}))
        worker = Worker(client)
        worker.queue.turn()
        (content,) = worker.taker.contents()
        assert isinstance(content, Submission) and content.fields == JOB and content.default_id == "a"
        assert is_filed(client) == (1, 1)
        worker.taker.entries[0].done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_a_lost_workers_messages_are_taken_over(self, client: redis.Redis) -> None:
        """The messages of a worker that has been silent for a while are taken over, marked as redelivered."""
        client.lpush("calls", message())
        Worker(client).queue.turn()
        age(client, ABANDONED_SECONDS - 1)
        other = Worker(client)
        other.queue.turn()
        assert other.taker.entries == []
        age(client, 1)
        other.later(KEEP_SECONDS)
        other.queue.turn()
        assert [entry.redelivered for entry in other.taker.entries] == [True]

    def test_a_living_workers_messages_are_left_to_it(self, client: redis.Redis) -> None:
        """A worker that lives keeps its messages, however long they take."""
        client.lpush("calls", message())
        slow, other = Worker(client), Worker(client)
        slow.queue.turn()
        for _ in range(5):
            age(client, ABANDONED_SECONDS - 0.1)
            slow.later(KEEP_SECONDS)
            other.later(KEEP_SECONDS)
            other.queue.turn()
        assert other.taker.entries == [] and is_filed(client) == (1, 1)

    def test_a_worker_whose_intake_is_stuck_is_relieved(self, client: redis.Redis) -> None:
        """It keeps nothing and fetches nothing more, so that another worker gets what it has in hand (E1)."""
        client.lpush("calls", message())
        stuck, other = Worker(client), Worker(client)
        stuck.queue.turn()
        stuck.taker.stuck, stuck.taker.room_bytes = True, 0
        age(client, ABANDONED_SECONDS)
        stuck.later(KEEP_SECONDS)
        other.later(KEEP_SECONDS)
        assert len(stuck.taker.entries) == 1
        assert [entry.redelivered for entry in other.taker.entries] == [True]

    def test_after_an_outage_the_living_speak_first(self, client: redis.Redis) -> None:
        """Nobody could keep anything meanwhile, so nothing is put back at once; what is in hand is kept at once."""
        client.lpush("calls", message(), message())
        slow, other = Worker(client), Worker(client)
        slow.queue.turn()
        client.lpush("calls", message())
        other.queue.turn()
        client.replicaof("127.0.0.1", "1")
        try:
            for worker in (slow, other):
                worker.clock.advance(KEEP_SECONDS)
                with pytest.raises(StoreUnavailable):
                    worker.queue.turn()
        finally:
            client.replicaof("NO", "ONE")
        age(client, 60)
        other.queue.turn()
        assert client.zcount(INDEX, "-inf", float(client.time()[0]) - 30) == 2 and not queued(client)
        slow.queue.turn()
        other.later(KEEP_SECONDS)
        other.queue.turn()
        assert is_filed(client) == (3, 3) and len(other.taker.entries) == 1

    def test_what_cannot_be_read_is_handed_over_as_broken(self, client: redis.Redis) -> None:
        """An unreadable message is handed over once, to be buried with a reason, and then struck off."""
        client.hset(UNACKED, "odd", '[{"body": "c2VjcmV0IHBpbiA0MzIxIGFuZCBtb3Jl"}, 7, 8]')
        client.zadd(INDEX, {"odd": 1})
        worker = Worker(client)
        for _ in range(3):
            worker.later(KEEP_SECONDS)
            age(client, 60)
        (entry,) = worker.taker.entries
        assert entry.read() == Broken("filed as unacknowledged in a form that cannot be read")
        assert entry.shown is not None
        assert b"c2VjcmV0" not in entry.shown() and b"[base64]" in entry.shown()
        entry.done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_a_backlog_of_lost_messages_is_put_back_without_a_pause(self, client: redis.Redis) -> None:
        """Several workers may have died at once."""
        client.hset(
            UNACKED, mapping={f"tag{n}": '[{"n": 1},"calls","calls"]' for n in range(MAX_RESTORE + 7)}
        )
        client.zadd(INDEX, {f"tag{n}": 1 for n in range(MAX_RESTORE + 7)})
        worker = Worker(client, max_in_hand=0)
        worker.queue.turn()
        worker.queue.turn()
        assert len(queued(client)) == MAX_RESTORE + 7

    def test_closing_hands_back_what_is_not_on_record(self, client: redis.Redis) -> None:
        """Messages that are done are struck off; the others go back to their list for other workers."""
        client.lpush("calls", message(), message())
        worker = Worker(client)
        worker.queue.turn()
        worker.taker.entries[0].done()
        worker.queue.close()
        assert is_filed(client) == (0, 0) and len(queued(client)) == 1

    @pytest.mark.parametrize("fail", ["fetch.before=raise", "fetch.after=raise"])
    def test_an_error_nobody_foresaw_loses_nothing(
        self, client: redis.Redis, armed: Callable[[str], None], fail: str
    ) -> None:
        """Acknowledgements are still made, and messages fetched but not handed over are put back in time."""
        client.lpush("calls", message())
        worker = Worker(client)
        worker.queue.turn()
        worker.taker.entries[0].done()
        armed(fail)
        client.lpush("calls", message())
        with pytest.raises(FailpointReached):
            worker.queue.turn()
        worker.queue.turn()
        age(client, ABANDONED_SECONDS)
        worker.later(KEEP_SECONDS)
        worker.queue.turn()
        assert len(worker.taker.entries) == 2
        worker.taker.entries[1].done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_messages_too_large_are_handed_over_one_after_the_other(self, client: redis.Redis) -> None:
        """Each once, as a dead letter of its size: no reply outlasts its time, and those behind them come too (E6)."""
        client.lpush("calls", *(message(body="y" * LARGE) for _ in range(20)), message())
        worker = Worker(client)
        for _ in range(30):
            worker.queue.turn()
        *large, good = worker.taker.entries
        assert len(large) == 20 and good.cut is None
        for entry in large:
            assert entry.read() == Broken("larger than 131072 bytes")
            assert entry.cut is not None and entry.cut.size > LARGE and len(entry.raw) == 8192

    def test_a_reply_that_does_not_come_halves_the_next(
        self, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have been too long for its time; what comes in time doubles it again (E6)."""
        asked: list[tuple[int, int]] = []
        worker, away = Worker(client), [True]
        whole = RedisLists.fetch

        def fetch(lists: RedisLists, most: int, acknowledged: Any, most_bytes: int, *_: object) -> Any:
            asked.append((most, most_bytes))
            if away[0]:
                raise StoreUnavailable("Redis does not answer")
            return whole(lists, most, acknowledged, most_bytes)

        monkeypatch.setattr(RedisLists, "fetch", fetch)
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                worker.queue.turn()
        away[0] = False
        for _ in range(9):
            worker.queue.turn()
        counts = [256, 128, 64, 32, 16, 8, 4, 2, 1, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256]
        assert asked == [(count, FETCH_BYTES * count // 256) for count in counts]

    def test_no_more_is_fetched_than_there_is_room_for(self, client: redis.Redis) -> None:
        """The bound is in bytes, and common to all ways in (E6)."""
        client.lpush("calls", message(), message())
        worker = Worker(client)
        worker.taker.room_bytes = 0
        assert worker.queue.turn() > 0 and worker.taker.entries == []
        worker.taker.room_bytes = 1
        worker.queue.turn()
        assert len(worker.taker.entries) == 2

    def test_what_is_put_off_keeps_nothing_out(self, client: redis.Redis) -> None:
        """Messages that wait for a part of the store do not count among those in hand (ADR 0029)."""
        client.lpush("calls", message(), message(), message())
        worker = Worker(client, max_in_hand=2)
        for _ in range(2):
            worker.queue.turn()
        assert len(worker.taker.entries) == 2
        worker.taker.put_off = 1
        worker.queue.turn()
        assert len(worker.taker.entries) == 3

    def test_what_is_put_off_keeps_no_worker_asking(self, client: redis.Redis) -> None:
        """While nothing else is in hand, the worker waits for the bell as in quiet times."""
        client.lpush("calls", message(), message())
        worker = Worker(client)
        worker.queue.turn()
        worker.taker.put_off = 1
        for _ in range(3):
            worker.later(QUIET_SECONDS)
        assert listeners(client) == 0
        worker.taker.put_off = 2
        for _ in range(3):
            worker.later(QUIET_SECONDS)
        assert listeners(client) == 1

    def test_a_queue_of_which_enough_is_put_off_is_left_alone(self, client: redis.Redis) -> None:
        """Its messages stay with the broker until its shard is back, whatever their priority; others are taken."""
        for name in ("calls.3", "calls.3\x06\x166", "calls.13", "calls"):
            client.lpush(name, message())
        worker = Worker(client)
        worker.taker.full_shards = frozenset({3})
        worker.queue.turn()
        assert len(worker.taker.entries) == 2
        assert client.llen("calls.3") == client.llen("calls.3\x06\x166") == 1
        worker.taker.full_shards = frozenset()
        worker.queue.turn()
        assert len(worker.taker.entries) == 4

    def test_an_empty_look_is_no_fetch(self, client: redis.Redis, armed: Callable[[str], None]) -> None:
        """A fault that waits for something to have been taken is not spent on nothing."""
        armed("fetch.after=raise")
        worker = Worker(client)
        worker.queue.turn()
        client.lpush("calls", message())
        with pytest.raises(FailpointReached):
            worker.queue.turn()
