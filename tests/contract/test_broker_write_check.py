"""Whether RabbitMQ takes messages: while all is well, during its memory alarm, and when it is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from tests.processes import free_port, wait_until
from tests.rabbit import Node, rabbitmq
from worker.broker.address import separate_redis_broker
from worker.broker.connection import Link
from worker.broker.redis_write_check import KEY, RedisWriteCheck
from worker.broker.write_check import NOWHERE, WriteCheck
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Grade
from worker.core.figures import BrokerFacts
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


def grade_of(url: str) -> Grade:
    """Return what `doctor` finds of a broker that is not the store."""
    settings = Settings.from_env({"BROKER_URL": url, "REDIS_URL": "redis://r"})
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
        assert grade_of(rabbit.url()) is Grade.FAIL
    finally:
        alarm(rabbit, on=False)
    wait_until(lambda: check.ask() == BrokerFacts(), "messages are taken again")
    assert grade_of(rabbit.url()) is Grade.OK


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


def test_redis_broker_that_is_full_is_blocked(client: redis.Redis, redis_url: str) -> None:
    """With its cause and remedy as for the store; the key ends by itself."""
    check = RedisWriteCheck(client)
    assert check.ask() == BrokerFacts() and client.ttl(KEY) > 0
    client.config_set("maxmemory", "1")
    try:
        facts, grade = check.ask(), grade_of(redis_url)
    finally:
        client.config_set("maxmemory", "0")
    assert facts.blocked is True and grade is Grade.FAIL
    assert facts.problem is not None and cause_of(facts.problem) is Cause.MEMORY
    assert check.ask() == BrokerFacts()


@pytest.mark.parametrize(
    ("environ", "separate"),
    [
        ({}, None),
        ({"REDIS_URL": "redis://one"}, None),
        ({"REDIS_URL": "redis://one", "BROKER_URL": "redis://one"}, None),
        ({"REDIS_URL": "redis://one", "BROKER_URL": "redis://two"}, "redis://two"),
        ({"REDIS_URL": "redis://one", "BROKER_URL": "amqp://two"}, None),
    ],
)
def test_store_that_is_the_broker_too_is_checked_once(environ: dict[str, str], separate: str | None) -> None:
    """Otherwise one full Redis would be two faults."""
    assert separate_redis_broker(Settings.from_env(environ)) == separate
