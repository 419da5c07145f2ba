"""Whether RabbitMQ takes messages: while all is well, during its memory alarm, and when it is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.processes import free_port, wait_until
from tests.rabbit import Node, rabbitmq
from worker.broker.connection import Link
from worker.broker.write_check import NOWHERE, WriteCheck
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Grade
from worker.core.records import BrokerFacts
from worker.network.causes import Cause, because, cause_of
from worker.network.remedies import remedy_of
from worker.settings import Settings


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Node]:
    with rabbitmq() as node:
        yield node


@pytest.fixture
def check(rabbit: Node) -> Iterator[WriteCheck]:
    with closing(WriteCheck(rabbit.url())) as check:
        yield check


def alarm(node: Node, *, on: bool) -> None:
    node.control("set_vm_memory_high_watermark", "0" if on else "0.9")


def doctors_grade(node: Node) -> Grade:
    settings = Settings.from_env({"BROKER_URL": node.url(), "REDIS_URL": "redis://r"})
    return next(one.grade for one in servers.broker(settings) if one.name == "broker messages")


def test_broker_that_is_well_confirms_each_message(rabbit: Node, check: WriteCheck) -> None:
    """The messages go to no queue, and none is made for them."""
    assert [check.ask() for _ in range(3)] == [BrokerFacts()] * 3
    assert BrokerFacts().blocked is False
    with closing(Link(rabbit.url(), [])) as link, pytest.raises(Exception, match="NOT_FOUND"):
        link.channel.queue_declare(NOWHERE, passive=True)


def test_memory_alarm_is_heard_and_its_end_too(rabbit: Node, check: WriteCheck) -> None:
    """The reason is RabbitMQ's own; a connection that is made during the alarm hears it as well. `doctor` agrees."""
    assert check.ask().blocked is False
    alarm(rabbit, on=True)
    try:
        wait_until(lambda: check.ask().blocked is True, "the alarm is heard")
        problem = check.ask().problem
        assert problem is not None and "low on memory" in str(problem)
        assert cause_of(problem) is Cause.BLOCKED and "takes no messages" in because(problem)
        assert "rabbitmq-diagnostics alarms" in remedy_of(problem, "BROKER_URL")
        with closing(WriteCheck(rabbit.url())) as other:
            assert other.ask().blocked is True
        assert doctors_grade(rabbit) is Grade.FAIL
    finally:
        alarm(rabbit, on=False)
    wait_until(lambda: check.ask() == BrokerFacts(), "messages are taken again")
    assert doctors_grade(rabbit) is Grade.OK


def test_broker_that_is_away_is_not_blocked() -> None:
    """It has another name, and another remedy."""
    facts = WriteCheck(f"amqp://127.0.0.1:{free_port()}").ask()
    assert facts.problem is not None and cause_of(facts.problem) is Cause.REFUSED
    assert facts.blocked is None


def test_user_without_the_right_learns_nothing(node: Node) -> None:
    """A user who may not write to the default exchange has no false alarm."""
    node.empty()
    with closing(WriteCheck(node.url("reader"))) as check:
        assert [check.ask(), check.ask()] == [BrokerFacts(), BrokerFacts()]
