"""Acknowledgements on AMQP: the broker hears of every message that is done with, and of no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from worker.celery_edge.acknowledgements import Acknowledgements


class Broker:
    """A channel as RabbitMQ keeps it: its unacknowledged deliveries. An unknown tag is an error, as in RabbitMQ."""

    def __init__(self) -> None:
        self.unacknowledged: list[int] = []
        self.returned: list[int] = []
        self.frames = 0
        self.away = False

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        if self.away:
            raise ConnectionResetError
        assert tag in self.unacknowledged, f"unknown delivery tag {tag}"
        self.frames += 1
        self.unacknowledged = [one for one in self.unacknowledged if (one > tag if multiple else one != tag)]

    def basic_reject(self, tag: int, requeue: bool) -> None:
        if self.away:
            raise ConnectionResetError
        assert requeue and tag in self.unacknowledged, f"unknown delivery tag {tag}"
        self.unacknowledged.remove(tag)
        self.returned.append(tag)


class Channel:
    """A broker's channel, with what is to be run soon in its thread."""

    def __init__(self) -> None:
        self.broker, self.soon = Broker(), list[Callable[[], Any]]()
        self.told = Acknowledgements(self.broker, self.soon.append, (ConnectionError,))
        self._last = 0

    def deliver(self, count: int) -> dict[int, Callable[[], None]]:
        """Deliver messages; return by delivery tag what to call when each is done."""
        tags = range(self._last + 1, self._last + count + 1)
        self._last += count
        self.broker.unacknowledged += tags
        return {tag: self.told.expect(tag) for tag in tags}

    def run(self) -> None:
        while self.soon:
            self.soon.pop(0)()


def test_a_batch_that_came_together_takes_one_frame() -> None:
    """The messages may be done with in any order."""
    channel = Channel()
    for done in reversed(channel.deliver(100).values()):
        done()
    channel.run()
    assert channel.broker.unacknowledged == [] and channel.broker.frames == 1


def test_nothing_is_told_before_it_is_done_with() -> None:
    """One message that takes long keeps none of the later ones, and is not acknowledged with them."""
    channel = Channel()
    slow, *others = channel.deliver(4).values()
    for done in others:
        done()
    channel.run()
    assert channel.broker.unacknowledged == [1]
    slow()
    channel.run()
    assert channel.broker.unacknowledged == []


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 40), max_size=8)), max_size=20))
def test_the_broker_knows_what_is_open(rounds: list[tuple[int, list[int]]]) -> None:
    """After any order of deliveries and ends, the broker's list is that of the messages that are not done with."""
    channel = Channel()
    waiting: dict[int, Callable[[], None]] = {}
    for count, ends in rounds:
        waiting |= channel.deliver(count)
        for end in ends:
            if waiting:
                waiting.pop(sorted(waiting)[end % len(waiting)])()
        channel.run()
        assert channel.broker.unacknowledged == sorted(waiting)


def test_a_connection_that_is_gone_ends_nothing() -> None:
    """The broker delivers unacknowledged messages again; the log line says how many."""
    channel = Channel()
    for done in channel.deliver(3).values():
        done()
    channel.broker.away = True
    with capture_logs() as lines:
        channel.run()
    assert [(line["event"], line["count"]) for line in lines] == [("messages.not_acknowledged", 3)]


class TestNoRoom:
    """Messages that were delivered and cannot be kept (E6)."""

    def test_they_go_back_as_there_is_room(self) -> None:
        """The oldest go back first, no more than fit, each once; nothing else is sent for them meanwhile."""
        channel = Channel()
        first, *_, last = channel.deliver(4).values()
        for tag, size in ((2, 60), (3, 50)):
            channel.told.set_aside(tag, size)
        for done in (first, last):
            done()
        channel.run()
        assert channel.broker.unacknowledged == [2, 3]
        for room, returned in ((59, []), (100, [2]), (100, [2, 3]), (100, [2, 3])):
            channel.told.put_back(room)
            assert channel.broker.returned == returned
        assert channel.broker.unacknowledged == []

    def test_what_comes_after_them_is_acknowledged_in_one_frame_again(self) -> None:
        """They are no longer open once they went back."""
        channel = Channel()
        channel.deliver(1)
        channel.told.set_aside(1, 1)
        channel.told.put_back(1)
        for done in channel.deliver(50).values():
            done()
        channel.run()
        assert channel.broker.unacknowledged == [] and channel.broker.frames == 1

    def test_a_connection_that_is_gone_ends_nothing(self) -> None:
        """The broker delivers them again by itself."""
        channel = Channel()
        channel.deliver(1)
        channel.told.set_aside(1, 1)
        channel.broker.away = True
        channel.told.put_back(1)
        assert channel.broker.returned == []
