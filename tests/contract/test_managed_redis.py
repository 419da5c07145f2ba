"""A Redis on which some commands are refused, as where others run it: the work itself needs none of them. (B5)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from tests.redis_server import RedisServer
from worker.broker.queues import CALLS, TASK_QUEUES
from worker.core.records import Lease, Source
from worker.core.retry import Tally
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.inbound.redis_lists import RedisLists
from worker.producer import enqueue_many
from worker.redisio.bell import Bell
from worker.redisio.connection import connect
from worker.redisio.written import wait_for_file
from worker.state.census import Census
from worker.state.dead_letters import RedisDeadLetters
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox

OWNER = account("acme", "10/s")
OPTIONAL = ("INFO", "CONFIG", "CLIENT", "SCRIPT", "MEMORY", "OBJECT", "KEYS", "DEBUG", "MONITOR")


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis on which the commands have other names."""
    options = [word for name in OPTIONAL for word in ("--rename-command", name, f"hidden-{name}")]
    with RedisServer(tmp_path_factory.mktemp("renamed"), *options) as server:
        yield server.url


@pytest.fixture
def forbidden(redis_url: str) -> Iterator[str]:
    """A Redis on which the user may not call the commands."""
    denied = [f"-{name.lower()}" for name in OPTIONAL]
    with redis.Redis.from_url(redis_url) as admin:
        rights: Any = ["+@all", *denied]
        admin.acl_setuser(
            "few", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=rights
        )
        yield redis_url.replace("redis://", "redis://few:word@")
        admin.acl_deluser("few")


@pytest.fixture(params=["renamed", "forbidden"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with connect(url) as connected:
        connected.flushall()
        yield connected


def test_a_job_is_admitted_settled_and_told_once(client: redis.Redis) -> None:
    """A job counts as written if INFO is missing to ask for it, also the first time a script runs."""
    scripts = store_scripts(client)
    ledger, outbox = redis_ledger(scripts), RedisOutbox(scripts)
    (lease,) = ledger.admit([application("a", OWNER)])
    assert isinstance(lease, Lease)
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), placed(lease))
    ((shard, batch),) = outbox.next().items()
    outbox.published(shard, len(batch))
    assert outbox.next() == {} and Census(client).unpublished() == 0


def test_what_is_published_and_enqueued_is_confirmed_at_once(client: redis.Redis, url: str) -> None:
    """A refusal is no failure: else the same batch would be published for ever, and `enqueue` fail though it sent."""
    with closing(ResultsQueue(url)) as results:
        results.publish([OutgoingEvent("call.placed", "{}")])
    job = {"id": "a", "account": "acme", "country": "1", "phone": "2125550123", "code": "4711"}
    assert enqueue_many([job], broker_url=url) == ["a"]
    letters = RedisDeadLetters(client)
    letters.bury("not JSON", Source.STREAM, b"?")
    assert client.llen("results") == 1 and len(letters.newest(9)) == 1
    lists = RedisLists(client, [queue.name for queue in TASK_QUEUES], CALLS.name)
    assert len(lists.fetch(9, []).messages) == 1


def test_a_bell_that_is_refused_is_not_hung(client: redis.Redis) -> None:
    """Then the worker looks, as often as a message may have to wait."""
    bell = Bell(client, CALLS.name)
    bell.hang()
    assert not bell.hung


class Reticent:
    """Tells of its state in a form that nobody expects."""

    def __init__(self, facts: Any) -> None:
        self._facts = facts

    def info(self, _: str) -> Any:
        return self._facts


@pytest.mark.parametrize(
    "facts", [{}, {"aof_pending_bio_fsync": None}, {"aof_pending_bio_fsync": "?"}, None, b""]
)
def test_an_answer_without_the_field_is_not_waited_for(facts: Any) -> None:
    """No form of an answer that a proxy makes up raises an error or is waited for."""
    wait_for_file(Reticent(facts))
