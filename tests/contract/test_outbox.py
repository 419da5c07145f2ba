"""The outbox: every recorded event is handed out in order until it is struck off, to one relay at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.records import Lease
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.delivery.ports import OutgoingEvent
from worker.delivery.relay import POLL_SECONDS, Relay
from worker.errors import BrokerUnavailable
from worker.redisio.runner import Scripts
from worker.state import keys
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox

LOCK = keys.prefix_of("acme") + "relay"


@pytest.fixture
def scripts(client: redis.Redis) -> Scripts:
    return store_scripts(client)


def record(scripts: Scripts, *names: str, owner: str = "acme") -> list[str]:
    """End a job of each name; the bodies of their events."""
    ledger, limits, bodies = (
        redis_ledger(scripts),
        account(owner),
        [],
    )
    fast = account(owner, "1000/s", burst=100)
    for admission in ledger.admit([application(name, fast) for name in names]):
        assert isinstance(admission, Lease)
        event = placed(admission)
        decisions.settle(ledger, admission, limits, Tally(sent=1), event)
        bodies.append(event.body)
    return bodies


def bodies(outbox: RedisOutbox) -> list[str]:
    return [event.body for batch in outbox.next().values() for event in batch]


class TestOutbox:
    """The list itself."""

    def test_events_are_handed_out_in_order_with_their_type(self, scripts: Scripts) -> None:
        """One account's events come as they were recorded; the type is the routing key."""
        recorded = record(scripts, "a", "b", "c")
        ((shard, batch),) = RedisOutbox(scripts).next().items()
        assert shard == shard_of("acme")
        assert [(event.type, event.body) for event in batch] == [("call.placed", body) for body in recorded]

    def test_what_is_not_struck_off_is_handed_out_again(self, scripts: Scripts) -> None:
        """An event leaves the outbox only once its publication was told."""
        recorded, outbox = record(scripts, "a", "b"), RedisOutbox(scripts)
        assert bodies(outbox) == recorded
        assert bodies(outbox) == recorded
        outbox.published(shard_of("acme"), 2)
        assert bodies(outbox) == []
        assert bodies(outbox) == []

    def test_events_recorded_meanwhile_stay(self, scripts: Scripts) -> None:
        """Striking off takes the batch that was given, not what came after it."""
        record(scripts, "a", "b")
        outbox = RedisOutbox(scripts)
        outbox.next()
        later = record(scripts, "c")
        outbox.published(shard_of("acme"), 2)
        assert bodies(outbox) == later

    def test_batches_are_bounded(self, scripts: Scripts) -> None:
        """A long outbox is handed out in portions, and wholly."""
        recorded, outbox, got = record(scripts, *"abcdefg"), RedisOutbox(scripts, most=3), list[str]()
        while batch := bodies(outbox):
            got += batch
            outbox.published(shard_of("acme"), len(batch))
        assert got == recorded

    def test_a_second_relay_waits_for_the_owner(self, scripts: Scripts) -> None:
        """Only one relay at a time gets the events of a shard; once the shard is empty any relay may."""
        record(scripts, "a")
        first, second = RedisOutbox(scripts), RedisOutbox(scripts)
        assert bodies(first) and not bodies(second)
        first.published(shard_of("acme"), 1)
        assert not bodies(first)
        record(scripts, "b")
        assert bodies(second) and not bodies(first)

    def test_the_events_of_a_lost_relay_go_to_the_next(self, scripts: Scripts, client: redis.Redis) -> None:
        """If the owner has been silent for its time, another relay publishes the events that were not struck off."""
        recorded = record(scripts, "a")
        lost, heir = RedisOutbox(scripts), RedisOutbox(scripts)
        lost.next()
        client.delete(LOCK)
        assert bodies(heir) == recorded

    def test_an_owner_that_comes_back_late_strikes_off_nothing(
        self, scripts: Scripts, client: redis.Redis
    ) -> None:
        """A late owner's events may be published twice, but no unpublished event is dropped."""
        record(scripts, "a")
        late, heir = RedisOutbox(scripts), RedisOutbox(scripts)
        late.next()
        client.delete(LOCK)
        heir.next()
        heir.published(shard_of("acme"), 1)
        heir.next()
        unpublished = record(scripts, "b")
        late.published(shard_of("acme"), 1)
        late.next()
        assert bodies(late) + bodies(heir) == unpublished

    def test_an_owner_that_publishes_nothing_loses_the_outbox(
        self, scripts: Scripts, client: redis.Redis
    ) -> None:
        """A relay whose broker is away may ask as often as it likes: its ownership ends, and another one has a try."""
        record(scripts, "a")
        stuck = RedisOutbox(scripts, own_seconds=60)
        stuck.next()
        client.pexpire(LOCK, 5000)
        stuck.next()
        assert client.pttl(LOCK) <= 5000
        stuck.published(shard_of("acme"), 0)
        stuck.next()
        assert client.pttl(LOCK) <= 5000

    def test_an_owner_that_publishes_keeps_the_outbox(self, scripts: Scripts, client: redis.Redis) -> None:
        """Each word of progress gives it the whole time again."""
        record(scripts, "a", "b")
        outbox = RedisOutbox(scripts, own_seconds=60, most=1)
        outbox.next()
        client.pexpire(LOCK, 5000)
        outbox.published(shard_of("acme"), 1)
        assert bodies(outbox)
        assert client.pttl(LOCK) > 5000


class Printer:
    """A publisher that can fail."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.away = self.closed = False

    def publish(self, batch: Sequence[OutgoingEvent]) -> None:
        if self.away:
            raise BrokerUnavailable("away")
        self.printed += [event.body for event in batch]

    def prepare(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        self.closed = True


class TestRelay:
    """The turn that carries events out."""

    def test_a_turn_publishes_what_is_recorded(self, scripts: Scripts) -> None:
        """All shards in one turn; the next turn finds nothing and waits."""
        recorded = record(scripts, "a", "b") + record(scripts, "c", owner="globex")
        printer, confirmed = Printer(), list[OutgoingEvent]()
        relay = Relay(RedisOutbox(scripts), printer, confirmed.extend)
        assert relay.turn() == 0.0
        assert relay.turn() == POLL_SECONDS
        assert sorted(printer.printed) == sorted(recorded)
        assert [event.body for event in confirmed] == printer.printed

    def test_a_broker_that_is_away_costs_no_event(self, scripts: Scripts) -> None:
        """Unpublished events are published when the broker is back, in order and none twice."""
        recorded, printer = record(scripts, "a", "b"), Printer()
        relay = Relay(RedisOutbox(scripts), printer, lambda _: None)
        printer.away = True
        with pytest.raises(BrokerUnavailable):
            relay.turn()
        printer.away = False
        recorded += record(scripts, "c")
        while relay.turn() == 0.0:
            pass
        assert printer.printed == recorded

    def test_closing_publishes_the_rest(self, scripts: Scripts, client: redis.Redis) -> None:
        """A worker that ends leaves nothing in the outbox, and no shard owned."""
        recorded, printer = record(scripts, "a", "b", "c"), Printer()
        Relay(RedisOutbox(scripts, most=1), printer, lambda _: None).close()
        assert printer.printed == recorded and printer.closed
        assert not client.exists(LOCK, keys.prefix_of("acme") + "outbox")

    def test_closing_without_a_broker_ends_all_the_same(self, scripts: Scripts) -> None:
        """The events stay for the next relay."""
        record(scripts, "a")
        printer = Printer()
        printer.away = True
        Relay(RedisOutbox(scripts), printer, lambda _: None).close()
        assert printer.closed and not printer.printed
