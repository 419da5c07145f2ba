"""The drain in Redis, what is left until it is complete, and what doctor and other versions make of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import redis

from tests.contract.hooks import Lanes
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, report
from worker.cli.doctor import fleet
from worker.cli.doctor.finding import Grade
from worker.core.figures import StoreFacts
from worker.core.fleet import Drain
from worker.core.records import Lease
from worker.state import keys
from worker.state.drains import Left, RedisDrain, left
from worker.state.lua import store_scripts
from worker.state.refused_results import RefusedResults
from worker.state.workers import RedisWorkers


def doctor(client: redis.Redis) -> tuple[Grade, str] | None:
    found = {one.name: one for one in fleet.check(fleet.look(client), StoreFacts(), 1_800_000_000.0)}
    return (found["drain"].grade, found["drain"].text) if "drain" in found else None


def test_drain_is_one_until_it_ends(client: redis.Redis) -> None:
    """A second one joins the first, with its reason; ending it twice changes nothing; a reason holds no number."""
    drain = RedisDrain(client)
    assert drain.read() is None and not drain.end()
    first = drain.begin("move, ask +1 212 555 0123")
    assert RedisDrain(client).begin("other") == first == drain.read()
    assert first.since_ms > 1_700_000_000_000 and "5550123" not in first.reason.replace(" ", "")
    assert drain.end() and drain.read() is None
    assert drain.begin("").id != first.id


def test_what_somebody_set_by_hand_is_a_drain(client: redis.Redis) -> None:
    """Whatever the text is: workers that went on would be what he did not want. A key of another type is none."""
    drain = RedisDrain(client)
    for text in ("", "stop", "[1]", '{"id": 5, "since_ms": "x"}'):
        client.set(keys.DRAIN, text)
        found = drain.read()
        assert found is not None and found.id
    client.delete(keys.DRAIN)
    client.rpush(keys.DRAIN, "stop")
    assert drain.read() is None
    assert drain.end()


def test_workers_read_drain_and_refusal_at_once(client: redis.Redis) -> None:
    """A key of another type says nothing, and hides nothing of the other."""
    shared, drain = RefusedResults(store_scripts(client)), RedisDrain(client)
    found = [(shared.read(), shared.drain)]
    shared.tell("no such exchange")
    begun = drain.begin("move")
    found.append((shared.read(), shared.drain))
    client.delete(keys.REFUSAL)
    client.rpush(keys.REFUSAL, "wrong")
    found.append((shared.read(), shared.drain))
    shared.withdraw()
    drain.end()
    client.rpush(keys.DRAIN, "wrong")
    shared.tell("full")
    found.append((shared.read(), shared.drain))
    assert found == [(None, None), ("no such exchange", begun), (None, begun), ("full", None)]


def test_what_is_left_is_counted(client: redis.Redis, clock: StoredClock) -> None:
    """Jobs in hand, events, deliveries and waiting jobs of all shards; a key of another type counts as empty."""
    lanes = Lanes(client, clock)
    lanes.end("ended")
    for name in ("acme", "globex"):
        (lease,) = redis_ledger(client, clock).admit([application(f"in-hand-{name}", account(name))])
        assert isinstance(lease, Lease)
    redis_ledger(client, clock).admit([application("waits", account("globex"), may_dial=False)])
    assert left(client) == Left(in_hand=2, events=1, webhooks=1, waiting=1)
    client.delete(f"{keys.prefix_of('acme')}outbox")
    client.set(f"{keys.prefix_of('acme')}outbox", "x")
    assert left(client).events == 0


def test_doctor_says_that_workers_are_drained(client: redis.Redis) -> None:
    """With the reason, and how many have nothing in hand."""
    assert doctor(client) is None
    drain = RedisDrain(client).begin("move")
    for told in (drain.id, "", "an earlier one"):
        RedisWorkers(client).report(replace(report(), drained=told), 1.0, 0.0)
    grade, text = doctor(client) or (None, "")
    assert grade is Grade.WARN and "(move); 1 of 3 workers have nothing in hand" in text


def test_report_of_the_last_release_is_read(client: redis.Redis) -> None:
    """It says nothing of drains, so such a worker counts as one that has not obeyed."""
    told: dict[str, Any] = {"places": 1, "used": 0, "paused": False, "host": "a", "version": "0.1.0"}
    entry = json.dumps({"heard_ms": int(time.time() * 1000), **told, "accounts": "abc"})
    client.hset(keys.WORKERS, "old", entry)
    (one,) = RedisWorkers(client).fleet().living
    assert (one.version, one.drained) == ("0.1.0", "") and one.drained != Drain("x").id
