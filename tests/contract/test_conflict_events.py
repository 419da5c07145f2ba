"""The event of a conflict, as it is put on its way in Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, job, placed, rejection
from worker.core.notices import CONFLICT
from worker.core.records import Application, Lease, Source
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.ledger import RedisLedger
from worker.state.lua import source

OWNERS = {name: account(name, rate="100/s", burst=50) for name in ("acme", "globex")}


def come(ledger: RedisLedger, *jobs: tuple[str, str, dict[str, str]]) -> list[Any]:
    batch = [
        Application(job(name, owner, **fields), OWNERS[owner], Source.CELERY, True)
        for name, owner, fields in jobs
    ]
    return list(ledger.admit(batch))


def told(client: redis.Redis, owner: str = "acme") -> list[dict[str, Any]]:
    """The events of conflicts in the outbox of an account's shard."""
    rows: Any = client.lrange(f"{keys.prefix_of(owner)}outbox", 0, -1)
    parts = [row.decode().partition(" ") for row in rows]
    return [json.loads(body) for kind, _, body in parts if kind == CONFLICT]


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def test_a_conflict_tells_the_fields_and_not_their_values(client: redis.Redis, ledger: RedisLedger) -> None:
    """The event is about the dropped job; PIN and number of neither are in it."""
    come(ledger, ("a", "acme", {}), ("a", "acme", {"phone": "2125550199", "code": "7391"}))
    (event,) = told(client)
    assert event["data"] == {
        "id": "a",
        "account": "acme",
        "status": "dialling",
        "fields": ["phone", "code"],
        "error": {"code": "CONFLICT", "message": "the id belongs to a job that differs"},
    }
    assert not any(secret in json.dumps(event["data"]) for secret in ("0199", "7391", "5555", "4321"))


def test_another_account_learns_nothing_of_the_first_job(client: redis.Redis, ledger: RedisLedger) -> None:
    """The event names its own account alone, and is on that account's shard."""
    assert shard_of("acme") != shard_of("globex")
    come(ledger, ("a", "acme", {}), ("a", "globex", {}))
    (event,) = told(client, "globex")
    data = event["data"]
    assert (data["account"], data["status"], data["fields"]) == ("globex", None, ["account"])
    assert "acme" not in json.dumps(event) and told(client) == []


def test_a_message_that_comes_again_gives_the_same_id(client: redis.Redis, ledger: RedisLedger) -> None:
    """At another worker too, and after the first job's end; a third job gives another id."""
    second, third = ("a", "acme", {"code": "999"}), ("a", "acme", {"code": "998"})
    (lease,) = come(ledger, ("a", "acme", {}))
    come(ledger, second, third)
    come(redis_ledger(client), second)
    first_id, third_id, again = [event["id"] for event in told(client)]
    assert first_id == again != third_id
    assert isinstance(lease, Lease)
    decisions.settle(ledger, lease, None, Tally(sent=1), placed(lease))
    come(ledger, second, second)
    late = [event for event in told(client) if event["data"]["status"] == "placed"]
    assert len(late) == 2 and late[0]["id"] == late[1]["id"] and late[0]["data"]["fields"] == []


def test_the_id_cannot_be_found_by_trying(client: redis.Redis, ledger: RedisLedger) -> None:
    """A secret of the installation takes part in it: on another one the same conflict has another id."""
    pair = [("a", "acme", {}), ("a", "acme", {"code": "999"})]
    come(ledger, *pair)
    (here,) = told(client)
    client.flushdb()
    come(redis_ledger(client), *pair)
    (there,) = told(client)
    assert here["id"] != there["id"]


def test_a_secret_that_cannot_be_read_stops_nothing(client: redis.Redis, ledger: RedisLedger) -> None:
    """The worker makes do with one of its own."""
    client.rpush(keys.FILE_IDS, "meddled with")
    second = ("a", "acme", {"code": "999"})
    come(ledger, ("a", "acme", {}), second, second)
    first, again = told(client)
    assert first["id"] == again["id"]


@pytest.mark.parametrize("known", [True, False])
def test_a_job_that_is_not_allowed_is_told_of_its_conflict(
    client: redis.Redis, ledger: RedisLedger, known: bool
) -> None:
    """It would get `call.rejected` but for its id, which another job has (E7)."""
    come(ledger, ("a", "acme", {}))
    owner = OWNERS["globex"] if known else None
    ledger.reject("a", "globex", owner, rejection("a", "globex"), "{}")
    (event,) = told(client, "globex")
    assert event["data"]["fields"] == ["account"]


class Cut(Scripts):
    """Scripts of which one call fails before it is sent."""

    cut_at = ""

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        if self.cut_at in {call.script for call in calls}:
            self.cut_at = ""
            raise StoreUnavailable("away")
        return super().run_all(calls)


def test_a_conflict_that_could_not_be_told_costs_no_lease(client: redis.Redis) -> None:
    """The batch is given again: the job that was leased with it gets its lease, and the conflict is told."""
    scripts = Cut(client, source)
    ledger = redis_ledger(scripts)
    come(ledger, ("a", "acme", {}))
    scripts.cut_at = "tell"
    batch = [("b", "acme", {}), ("a", "acme", {"code": "999"})]
    with pytest.raises(StoreUnavailable):
        come(ledger, *batch)
    assert told(client) == []
    lease, _ = come(ledger, *batch)
    assert isinstance(lease, Lease) and (lease.fence, lease.tally) == (1, Tally())
    assert [event["data"]["id"] for event in told(client)] == ["a"]
