"""What a broker refuses: rights, passwords, virtual hosts, exchanges of another type. Each is named, and worked around
if that is possible."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection, Exchange
from structlog.testing import capture_logs

from tests.rabbit import GuardedNode
from worker.broker.connection import Link
from worker.broker.queues import RESULTS, queue_of
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Grade
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from worker.inbound.depth import QueueDepths
from worker.preflight.greeting import ask_broker
from worker.producer import Producer
from worker.settings import Settings

JOB = {"id": "one", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
EVENT = [OutgoingEvent("call.placed", "{}")]


@pytest.fixture
def empty(node: GuardedNode) -> GuardedNode:
    """The node with none of the program's queues and exchanges."""
    node.empty()
    return node


def exchange(url: str, name: str, kind: str, **options: object) -> None:
    with Connection(url) as connection:
        Exchange(name, type=kind, **options)(connection.default_channel).declare()


def everything(url: str) -> None:
    with closing(ResultsQueue(url)) as queue, Producer(url) as producer, closing(QueueDepths(url)) as depths:
        queue.publish(EVENT)
        producer.enqueue(JOB)
        depths.read()
    assert list(read_results(url)) == ["{}"]


def test_user_who_may_not_configure_uses_what_is_there(empty: GuardedNode) -> None:
    """Every client works where all queues exist, although to declare them is refused (B4)."""
    ask_broker(empty.url(), "BROKER_URL")
    ask_broker(empty.url("porter"), "BROKER_URL")
    everything(empty.url("porter"))


def test_rights_that_the_page_asks_for_are_enough(empty: GuardedNode) -> None:
    """Configure, write and read on the program's own names, and write on the default exchange."""
    ask_broker(empty.url("callworker"), "BROKER_URL")
    everything(empty.url("callworker"))


def test_producer_may_send_and_not_read(empty: GuardedNode) -> None:
    """The rights that the page asks for let jobs in, make missing queues, and give no message to anyone."""
    ask_broker(empty.url("callworker"), "BROKER_URL")
    with Connection(empty.url()) as connection:
        connection.default_channel.queue_delete(queue_of("acme").name)
    with Producer(empty.url("producer")) as producer:
        producer.enqueue(JOB)
    for queue in (queue_of("acme").name, "results"):
        with pytest.raises(AccessRefused), Connection(empty.url("producer")) as connection:
            connection.default_channel.basic_get(queue)
    with Connection(empty.url()) as connection:
        assert connection.default_channel.basic_get(queue_of("acme").name) is not None


def test_what_is_missing_and_may_not_be_made_is_named(empty: GuardedNode) -> None:
    """The line says which queue, and that the user may not make it."""
    with pytest.raises(ConfigurationError, match="BROKER_URL: .*'results'.*may not") as caught:
        ask_broker(empty.url("porter"), "BROKER_URL")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("user", "place"), [("writer", "queue 'calls'"), ("reader", "exchange 'results'")])
def test_user_who_may_not_take_jobs_or_send_events_is_told_at_the_start(
    empty: GuardedNode, user: str, place: str
) -> None:
    """Nothing is dialled for an account whose events could not leave, and no worker waits in vain (B3, B4, D8)."""
    ask_broker(empty.url(), "BROKER_URL")
    everything(empty.url())
    with pytest.raises(ConfigurationError, match=f"BROKER_URL: the user lacks a right.*{place}"):
        ask_broker(empty.url(user), "BROKER_URL")
    queues = list(
        servers.broker(Settings.from_env({"BROKER_URL": empty.url(user), "REDIS_URL": "redis://r"}))
    )[-1]
    assert queues.grade is Grade.FAIL and place in queues.text and "rights" in queues.remedy


def test_asking_for_rights_takes_and_sends_nothing(empty: GuardedNode) -> None:
    """Messages in a queue stay there unchanged, and the check publishes no event (B4)."""
    ask_broker(empty.url(), "BROKER_URL")
    with Producer(empty.url()) as producer:
        producer.enqueue(JOB)
    ask_broker(empty.url(), "BROKER_URL")
    assert list(read_results(empty.url())) == []
    with Connection(empty.url()) as connection:
        message = connection.default_channel.basic_get(queue_of("acme").name)
        assert message is not None and not message.delivery_info["redelivered"]


def test_doctor_says_what_is_missing_and_may_not_be_made(empty: GuardedNode) -> None:
    """`doctor` fails and says why if no worker of this user could start; it creates no queue (B4, D8)."""
    settings = Settings.from_env({"BROKER_URL": empty.url("porter"), "REDIS_URL": "redis://r"})
    queues = list(servers.broker(settings))[-1]
    assert queues.grade is Grade.FAIL and "may not create" in queues.text and "results" in queues.text
    able = Settings.from_env({"BROKER_URL": empty.url(), "REDIS_URL": "redis://r"})
    for _ in range(2):
        queues = list(servers.broker(able))[-1]
        assert queues.grade is Grade.WARN and "calls.15" in queues.text


@pytest.mark.parametrize(
    "wrong",
    [lambda node: node.url("guest").replace(":guest@", ":hunter2@"), lambda node: node.url(vhost="nowhere")],
)
def test_wrong_password_and_missing_virtual_host_are_refusals(
    node: GuardedNode, wrong: Callable[[GuardedNode], str]
) -> None:
    """Both end a start with one line that names the variable, and are no broker that is away (B4)."""
    url = wrong(node)
    with pytest.raises(BrokerRefused):
        Link(url, [])
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL: [^\n]+$") as caught:
        ask_broker(url, "BROKER_URL")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["results", "calls"])
@pytest.mark.parametrize("kind", ["fanout", "headers"])
def test_exchange_of_another_type_is_named_with_both_types(empty: GuardedNode, name: str, kind: str) -> None:
    """The start and doctor name both types; doctor creates no missing exchange (B3)."""
    wanted = {"results": "topic", "calls": "direct"}[name]
    assert _grade_of_queues(empty) == ("warn", "")
    exchange(empty.url(), name, kind)
    told = f"'{name}'.*'{kind}'.*'{wanted}'"
    with pytest.raises(ConfigurationError, match=told):
        ask_broker(empty.url(), "BROKER_URL")
    grade, text = _grade_of_queues(empty)
    assert grade == "fail"
    assert text.count(f"'{name}' is of type '{kind}'") == 1


def _grade_of_queues(node: GuardedNode) -> tuple[str, str]:
    settings = Settings.from_env({"BROKER_URL": node.url()})
    (found,) = [finding for finding in servers.broker(settings) if finding.name == "queues"]
    return found.grade, "" if found.grade == "warn" else found.text


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_queues_have_the_type_that_the_operator_names(
    empty: GuardedNode, monkeypatch: pytest.MonkeyPatch, queue_type: str
) -> None:
    """Results and producers declare queues of the configured type; a link of the other type logs the difference."""
    monkeypatch.setenv("AMQP_QUEUE_TYPE", queue_type)
    with closing(ResultsQueue(empty.url(), queue_type)) as queue, Producer(empty.url()) as producer:
        queue.publish(EVENT)
        producer.enqueue(JOB)
    with capture_logs() as lines:
        Link(empty.url(), [RESULTS, queue_of(JOB["account"])], queue_type).close()
        assert lines == []
        other = "classic" if queue_type == "quorum" else "quorum"
        Link(empty.url(), [RESULTS, queue_of(JOB["account"])], other).close()
    assert [line["queue"] for line in lines] == ["queue 'results'", "queue 'calls.14'"]


def test_exchange_with_other_properties_is_used_as_it_is(empty: GuardedNode) -> None:
    """A topic exchange that is not durable, or has arguments, leads events to their queue all the same."""
    exchange(empty.url(), "results", "topic", durable=False, arguments={"alternate-exchange": "spare"})
    everything(empty.url())


def test_exchange_that_was_replaced_is_a_refusal(empty: GuardedNode) -> None:
    """Events that cannot leave any more are refused ones; once it is as it must be they leave (B3)."""
    with closing(ResultsQueue(empty.url())) as queue, Connection(empty.url()) as connection:
        queue.publish(EVENT)
        connection.default_channel.exchange_delete("results")
        exchange(empty.url(), "results", "direct")
        for _ in range(2):
            with pytest.raises(BrokerRefused):
                queue.publish(EVENT)
        with pytest.raises(BrokerRefused, match="'direct'"):
            queue.prepare()
        connection.default_channel.exchange_delete("results")
        queue.publish(EVENT)


def test_broker_speaks_tls_itself(empty: GuardedNode) -> None:
    """RabbitMQ's own TLS, without anything in between: the right authority is accepted, the system's is not."""
    url = f"amqps://guest:guest@localhost:{empty.tls_port}//"
    everything(f"{url}?cacertfile={empty.authority}")
    with pytest.raises(BrokerUnavailable, match="certificate"):
        Link(url, [])
