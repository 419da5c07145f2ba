"""What a Redis refuses, as store and as broker: one line at the start, and a refusal while events wait."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from worker.broker.queues import queue_of
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from worker.preflight.greeting import ask_broker, ask_store
from worker.producer import enqueue_many
from worker.redisio.bell import Bell
from worker.redisio.connection import connect

WORKER = Path(__file__).parents[2] / "worker"
SETTINGS_PAGE = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text(encoding="utf-8")
BINDINGS = "_kombu.binding.results"
EVENT = [OutgoingEvent("call.placed", "{}")]


@pytest.fixture
def user(client: redis.Redis, redis_url: str) -> Iterator[Callable[..., str]]:
    """Makes a user with rights, and gives the server's address for it."""

    run: Any = client.execute_command

    def make(*rights: str) -> str:
        run("ACL", "SETUSER", "porter", "reset", "on", ">hunter2", *rights)
        return redis_url.replace("//", "//porter:hunter2@")

    yield make
    run("ACL", "DELUSER", "porter")


def test_server_that_takes_all_is_well(redis_url: str) -> None:
    """Nothing is said of a Redis that works, or that is away: it may come later."""
    for url in (redis_url, "redis://127.0.0.1:1"):
        ask_store(url)
        ask_broker(url, "REDIS_URL")


@pytest.mark.parametrize("rights", [["~*", "+ping"], ["~other:*", "+@all"], ["~*", "+@all", "-@scripting"]])
def test_missing_right_is_one_line(user: Callable[..., str], rights: list[str]) -> None:
    """A user who may not run scripts, or not on the program's keys, ends the start with the variable's name (B4)."""
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: [^\n]*permission[^\n]*$") as caught:
        ask_store(user(*rights))
    assert "hunter2" not in str(caught.value)


def page_rights(name: str) -> list[str]:
    """Return the rights of a user that docs/reference/settings.md creates."""
    (words,) = re.findall(rf"^ACL SETUSER {name} on >password (.+)$", SETTINGS_PAGE, re.MULTILINE)
    return list(words.split())


def test_rights_of_the_page_are_enough(user: Callable[..., str]) -> None:
    """The user that the page creates may use store and broker, listen, and ask for INFO."""
    url = user(*page_rights("callworker"))
    ask_store(url, replicas=1)
    ask_broker(url, "REDIS_URL", replicas=1)
    with connect(url) as client:
        bell = Bell(client, "calls")
        bell.hang()
        assert bell.hung
        bell.take_down()
        assert client.info("persistence")


def test_rights_of_the_page_hold_every_command_of_the_scripts(client: redis.Redis) -> None:
    """No script stops half-way for want of a right."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in WORKER.rglob("*.lua"))
    known: Any = client.command()
    called = {word.lower() for word in re.findall(r"'([A-Z]{3,})'", scripts)} & known.keys()
    assert len(called) > 30
    assert {f"+{name}" for name in called} - set(page_rights("callworker")) == set()


@pytest.mark.parametrize("name", ["callworker", "producer"])
def test_rights_of_the_page_are_no_more(user: Callable[..., str], client: redis.Redis, name: str) -> None:
    """Other programs' keys and channels, and what concerns the whole server, are out of reach."""
    url = user(*page_rights(name))
    forbidden = ["SET other 1", "GET other", "FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST", "SHUTDOWN"]
    with redis.Redis.from_url(url) as known:
        for words in (*forbidden, "MONITOR", "SCRIPT FLUSH", "CLIENT KILL TYPE normal", "PUBLISH other 1"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                known.execute_command(*words.split())


def test_producer_of_the_page_sends_in_every_way(user: Callable[..., str], client: redis.Redis) -> None:
    """This package's producer, Celery's and an entry of the stream get through; nothing can be read."""
    url = user(*page_rights("producer"))
    job = {"id": "a", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
    enqueue_many([job], broker_url=url)
    Celery("somebody-else", broker=url, set_as_current=False).send_task(
        "calls.verify", kwargs=job, queue="calls"
    )
    with redis.Redis.from_url(url) as producer:
        producer.xadd("calls.intake", {"job": json.dumps(job)})
        for words in ("LRANGE calls 0 -1", "XRANGE calls.intake - +", "RPOP results", "GET callworker:clock"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                producer.execute_command(*words.split())
    assert client.llen(queue_of("acme").name) == client.llen("calls") == client.xlen("calls.intake") == 1


def test_wrong_password_is_one_line(redis_url: str, user: Callable[..., str]) -> None:
    """A wrong password of store or broker is one line, under its own variable (B4)."""
    url = user("~*", "&*", "+@all").replace("hunter2", "wrong")
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: [^\n]+$"):
        ask_store(url)
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL: [^\n]+$"):
        ask_broker(url, "BROKER_URL")


@pytest.mark.parametrize("key", [BINDINGS, "results"])
def test_key_of_another_type_is_a_refusal(client: redis.Redis, redis_url: str, key: str) -> None:
    """If the key for bindings or events has another type, no event leaves, which is a refusal, no outage (B3)."""
    client.set(key, "something else")
    with closing(ResultsQueue(redis_url)) as queue:
        with pytest.raises(BrokerRefused, match="(?i)wrong kind|WRONGTYPE"):
            queue.publish(EVENT)
        client.delete(key)
        queue.publish(EVENT)
    assert client.llen("results") == 1


def test_foreign_members_among_the_bindings_do_no_harm(client: redis.Redis, redis_url: str) -> None:
    """An unreadable binding is ignored, and the events still go to the others (B3)."""
    client.sadd(BINDINGS, b"\xff\xfe", "nonsense", "a\x06\x16(\x06\x16results", "#\x06\x16^.*?$\x06\x16")
    with closing(ResultsQueue(redis_url)) as queue:
        queue.publish(EVENT)
    assert client.llen("results") == 1


def test_lost_binding_beside_another_is_made_again(client: redis.Redis, redis_url: str) -> None:
    """That queue `results` is bound to one type does not stand for its binding to all."""
    with closing(ResultsQueue(redis_url)) as queue:
        queue.publish(EVENT)
        client.delete(BINDINGS)
        client.sadd(BINDINGS, "call.failed\x06\x16^call\\.failed$\x06\x16results")
        queue.publish(EVENT)
    assert client.llen("results") == 2


def test_busy_server_is_no_refusal(client: redis.Redis, redis_url: str) -> None:
    """A Redis that is full may have room again: it is away, as far as events are concerned."""
    with closing(ResultsQueue(redis_url)) as queue:
        client.config_set("maxmemory", "1")
        try:
            ask_broker(redis_url, "REDIS_URL")
            with pytest.raises(BrokerUnavailable) as caught:
                queue.publish(EVENT)
        finally:
            client.config_set("maxmemory", "0")
    assert not isinstance(caught.value, BrokerRefused)
