"""The way to a broker: libraries that are not installed, and a Redis that has not written yet what it has answered."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from callworker import AsyncClient, BrokerRefused, BrokerUnavailable, Client, ConfigurationError
from callworker.job import checked
from callworker.message import verify_message
from callworker.redis import RedisSession
from callworker.redis_lists import Envelopes

MESSAGE = verify_message(checked({"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}))


@pytest.mark.parametrize(
    ("made", "url", "library", "modules", "extra"),
    [
        (Client, "redis://localhost", "redis", ["redis_address", "redis"], "redis"),
        (Client, "amqp://localhost", "amqp", ["amqp"], "rabbitmq"),
        (AsyncClient, "redis://localhost", "redis", ["redis_address", "aio.redis"], "redis"),
        (AsyncClient, "amqp://localhost", "aio_pika", ["aio.amqp"], "rabbitmq-asyncio"),
    ],
)
def test_library_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, made: Any, url: str, library: str, modules: list[str], extra: str
) -> None:
    """The error comes when the client is made, and says what to install."""
    for module in modules:
        monkeypatch.delitem(sys.modules, f"callworker.{module}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError) as caught:
        made(url)
    assert f"pip install 'callworker-client[{extra}]'" in str(caught.value)


class Server:
    """Stands in for a client of redis-py, whose server puts writes off `puts_off` times."""

    def __init__(self, pushed: Any = 1, puts_off: int = 0, refusal: Exception | None = None) -> None:
        self.pushed, self.puts_off, self.refusal = pushed, puts_off, refusal
        self.asked = 0

    def pipeline(self, *, transaction: bool) -> Any:
        return nullcontext(self)

    def lpush(self, *_: str) -> None:
        """Is queued."""

    def info(self, _: str) -> Any:
        self.asked += 1
        return self.refusal or {"aof_pending_bio_fsync": int(self.asked <= self.puts_off)}

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        self.asked -= 1  # Once as the command was queued.
        return [self.pushed, self.info("persistence")]


def send(server: Any) -> None:
    session = object.__new__(RedisSession)
    session._client, session._envelopes, session._replicas = server, Envelopes(), 0
    session.send([MESSAGE])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callworker.redis.time.sleep", lambda _: None)


@pytest.mark.parametrize("puts_off", [0, 1, 5])
def test_batch_counts_once_redis_has_written_it(puts_off: int) -> None:
    """Redis is asked with the batch, and again until its file has it."""
    server = Server(puts_off=puts_off)
    send(server)
    assert server.asked == puts_off + 1


def test_user_who_may_not_ask_is_not_waited_for() -> None:
    """Then it is not known when the batch is written."""
    send(Server(refusal=NoPermissionError("no permissions to run the 'info' command")))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ResponseError("NOPERM no permissions"), BrokerRefused),
        (ResponseError("MISCONF Redis is configured to save"), BrokerUnavailable),
        (ConnectionError("gone"), BrokerUnavailable),
    ],
)
def test_batch_that_was_not_taken_is_an_error(answer: Exception, kind: type[Exception]) -> None:
    """A refusal is told from a server that cannot take it at the moment."""
    with pytest.raises(BrokerUnavailable) as caught:
        send(Server(pushed=answer))
    assert type(caught.value) is kind
