"""What Sentinels may say, right or wrong, and to which server a connection leads then: blocking, asyncio, and TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError, TimeoutError

from callworker import BrokerRefused, BrokerUnavailable, Client
from callworker.aio.redis import client_of as async_client_of
from callworker.redis import client_of
from callworker.redis_address import parameters
from callworker.sentinels import Place, UnknownMaster
from tests.doubles.scripted_sentinel import NAME, SILENT, ScriptedSentinel
from tests.redis_server import RedisServer, follow
from tests.tls import Authority, TlsDoor
from worker.errors import ConfigurationError
from worker.preflight.greeting import ask_broker, ask_store

NOT_KNOWN = "ERR No such master with that name"
NO_PASSWORD = "NOAUTH Authentication required."
JOB = {"id": "one", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}

Reached = Callable[[str], int]


def reached(url: str) -> int:
    """Return the port of the server at which a command of a new client arrives."""
    with client_of(parameters(url), 5.0) as client:
        facts: Any = client.info("server")
        return int(facts["tcp_port"])


def reached_with_asyncio(url: str) -> int:
    async def ask() -> int:
        async with async_client_of(parameters(url), 5.0) as client:
            facts: Any = await client.info("server")
            return int(facts["tcp_port"])

    return asyncio.run(ask())


@pytest.fixture(params=[reached, reached_with_asyncio], ids=["blocking", "asyncio"])
def port_of(request: pytest.FixtureRequest) -> Reached:
    way: Reached = request.param
    return way


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    """A master, another one, and a replica of the first."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(RedisServer(tmp_path_factory.mktemp("server")))
            for _ in ("one", "two", "three")
        ]
        first, _, third = (stack.enter_context(redis.Redis(port=server.port)) for server in started)
        follow(third, first)
        yield [Place("127.0.0.1", server.port) for server in started]


def address(*sentinels: ScriptedSentinel, options: str = "") -> str:
    return f"redis+sentinel://{','.join(str(each.place) for each in sentinels)}/{NAME}/0{options}"


def free_place() -> Place:
    """A place at which nothing listens."""
    with ScriptedSentinel(SILENT) as ended:
        return ended.place


def test_first_sentinel_that_answers_is_enough(servers: list[Place], port_of: Reached) -> None:
    """One that is gone and one that hangs cost a moment, and one that does not know the name nothing."""
    with (
        ScriptedSentinel(SILENT) as hangs,
        ScriptedSentinel(NOT_KNOWN) as other,
        ScriptedSentinel(servers[0]) as right,
    ):
        hosts = f"{free_place()},{address(hangs, other, right).partition('://')[2]}"
        assert port_of(f"redis+sentinel://{hosts}") == servers[0].port


def test_server_that_is_no_master_is_not_used(servers: list[Place], port_of: Reached) -> None:
    """It came back after a failover, and a Sentinel has not heard of that: another one is asked at the next try."""
    with ScriptedSentinel(servers[2]) as wrong, ScriptedSentinel(servers[0]) as right:
        url = address(wrong, right)
        with client_of(parameters(url), 5.0) as client:
            with pytest.raises(ConnectionError, match="no master"):
                client.ping()
            assert client.ping()
        with pytest.raises(ConnectionError, match="no master"):
            port_of(address(wrong))


def test_server_that_is_gone_is_not_the_only_one_tried(servers: list[Place], port_of: Reached) -> None:
    """A Sentinel that has not heard of a failover names the dead one; the next Sentinel is asked in the same call."""
    with ScriptedSentinel(free_place()) as late, ScriptedSentinel(servers[0], epoch=2) as right:
        assert port_of(address(late, right)) == servers[0].port


def test_master_that_seems_down_is_tried_last(servers: list[Place], port_of: Reached) -> None:
    """If no other is named it is tried all the same: the Sentinels may be wrong."""
    with ScriptedSentinel(servers[1], down=True) as doubts, ScriptedSentinel(servers[0], epoch=2) as sure:
        assert port_of(address(doubts, sure)) == servers[0].port
        assert port_of(address(doubts)) == servers[1].port


def test_replaced_master_is_not_gone_back_to(servers: list[Place]) -> None:
    """Once a failover is known, a Sentinel that was cut off before it is not believed, unless all agree with it."""
    with ScriptedSentinel(servers[0]) as late, ScriptedSentinel(servers[1], epoch=2) as right:
        client = client_of(parameters(address(right, late)), 5.0)
        assert port_now(client) == servers[1].port
        right.says = SILENT
        with pytest.raises(ConnectionError, match="no Sentinel names a master"):
            port_now(client)
        right.says = free_place()
        with pytest.raises(ConnectionError, match="refused"):
            port_now(client)
        right.says, right.epoch = servers[0], 1
        assert port_now(client) == servers[0].port


def port_now(client: Any) -> int:
    client.connection_pool.disconnect()
    return int(client.info("server")["tcp_port"])


@pytest.mark.parametrize(
    ("says", "told"),
    [(NOT_KNOWN, "no Sentinel knows a master named callworker"), (NO_PASSWORD, "the Sentinels refuse")],
)
def test_sentinels_that_refuse_end_the_start(says: str, told: str) -> None:
    """One line for the store and one for the broker, and BrokerRefused in a program that sends jobs."""
    with ScriptedSentinel(says) as one, ScriptedSentinel(says) as two:
        url = address(one, two)
        with pytest.raises(ConfigurationError, match=rf"^REDIS_URL: the server refused[^\n]*{told}[^\n]*$"):
            ask_store(url)
        with pytest.raises(ConfigurationError, match=rf"^BROKER_URL: [^\n]*{told}[^\n]*$"):
            ask_broker(url, "BROKER_URL")
        with Client(url) as client, pytest.raises(BrokerRefused, match=told):
            client.enqueue(JOB)


def test_sentinels_that_are_away_may_come_later(servers: list[Place]) -> None:
    """A start does not fail for them, nor for one that does not know the name while another one is away."""
    gone = f"redis+sentinel://{free_place()}/{NAME}"
    ask_store(gone)
    ask_broker(gone, "BROKER_URL")
    with Client(gone) as client, pytest.raises(BrokerUnavailable, match="no Sentinel names a master"):
        client.enqueue(JOB)
    with ScriptedSentinel(NOT_KNOWN) as one, ScriptedSentinel(SILENT) as two:
        ask_store(address(one, two))


def test_tls_is_spoken_with_both(tmp_path: Path, servers: list[Place], port_of: Reached) -> None:
    """With rediss+sentinel:// the certificates of Sentinel and of Redis are verified, each for its own place."""
    authority, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    with ExitStack() as stack:
        door = stack.enter_context(TlsDoor(servers[0].port, authority.issue("redis")))
        sentinel = stack.enter_context(ScriptedSentinel(Place("127.0.0.1", door.port)))
        outer = stack.enter_context(TlsDoor(sentinel.place.port, authority.issue("sentinel")))
        url = f"rediss+sentinel://localhost:{outer.port}/{NAME}?ssl_ca_certs="
        assert port_of(url + str(authority.pair.certificate)) == servers[0].port
        with pytest.raises(ConnectionError, match="(?i)certificate"):
            port_of(url + str(other.pair.certificate))
        sentinel.says = Place("127.0.0.1", servers[0].port)
        with pytest.raises((ConnectionError, TimeoutError)):
            port_of(url + str(authority.pair.certificate))


def test_user_who_may_not_ask_for_the_role_learns_nothing(servers: list[Place], port_of: Reached) -> None:
    """The right `+role` is optional: without it the Sentinels alone are believed."""
    with (
        redis.Redis(port=servers[0].port) as client,
        ScriptedSentinel(servers[0]) as sentinel,
    ):
        client.acl_setuser(
            "user", enabled=True, nopass=True, keys="*", categories=["+@all"], commands=["-role"]
        )
        url = address(sentinel).replace("://", "://user:any@")
        assert port_of(url) == servers[0].port


def test_answer_that_cannot_be_read_is_none(servers: list[Place], port_of: Reached) -> None:
    """What is no Sentinel may answer anything: the next one is asked."""
    with ScriptedSentinel(servers[0]) as odd, ScriptedSentinel(servers[0]) as right:
        odd.epoch = "what?"  # type: ignore[assignment]  # no Sentinel would say so
        assert port_of(address(odd, right)) == servers[0].port
        with pytest.raises(ConnectionError, match="cannot be read"):
            port_of(address(odd))


def test_unknown_master_is_a_connection_error() -> None:
    """Programs that catch redis-py's own errors catch it."""
    with ScriptedSentinel(NOT_KNOWN) as one, pytest.raises(UnknownMaster):
        reached(address(one))
