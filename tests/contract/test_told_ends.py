"""Ends that subscribers were told of are put back into a state that has forgotten them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, accounts, application, failed, placed, rejection
from worker.core.endpoints import Endpoint
from worker.core.records import Lease, Parked, Seen
from worker.core.retry import Tally
from worker.state import keys
from worker.state.decisions import Retention
from worker.state.told_ends import ToldEnd, ToldEnds, read
from worker.state.views import JobViews

HOOK = Endpoint(url="https://hooks.example.com/all", secret_env=("A",))
OWNER = account(webhooks=(HOOK,))
KEPT = Retention.of(3600, None)


@pytest.fixture
def ends(client: redis.Redis) -> ToldEnds:
    return ToldEnds(client, accounts(OWNER), KEPT)


def told(client: Any, clock: StoredClock, name: str) -> ToldEnd:
    """Return the end of a job in another state, and leave nothing of that state."""
    ledger = redis_ledger(client, clock)
    (lease,) = ledger.admit([application(name, OWNER)])
    assert isinstance(lease, Lease)
    event = placed(lease)
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), event)
    client.flushall()
    clock.advance(0)
    found = read(json.dumps(json.loads(event.body), indent=1).replace("\n", " "))
    assert found is not None and found.event == event
    return found


def outbox(client: Any) -> list[bytes]:
    found: list[bytes] = client.lrange(f"{keys.prefix_of('acme')}outbox", 0, -1)
    return found


def test_job_that_waits_ends_as_told(client: redis.Redis, clock: StoredClock, ends: ToldEnds) -> None:
    """Without a call, with the same bytes for all subscribers; a repeat is known; a second time changes nothing."""
    end = told(client, clock, "a")
    ledger = redis_ledger(client, clock)
    assert isinstance(ledger.admit([application("a", OWNER, may_dial=False)])[0], Parked)
    assert ends.put_back([end]) == {"ended": 1}
    assert ends.put_back([end]) == {"known": 1}
    assert outbox(client) == [f"{end.event.type} {end.event.body}".encode()]
    assert client.hgetall(f"{keys.prefix_of('acme')}hook-pending") == {f"acme|{HOOK.key}".encode(): b"1"}
    assert ledger.lease_due(9).leases == []
    assert ledger.admit([application("a", OWNER)]) == [Seen("placed")]
    view = JobViews(client).find("a")
    assert view is not None and view.ended and view.event_id == end.event.id


def test_job_that_comes_later_is_a_repeat(client: redis.Redis, clock: StoredClock, ends: ToldEnds) -> None:
    """Also one that was canceled before it came, and once its record is gone."""
    end = told(client, clock, "a")
    assert ends.put_back([end]) == {"ended": 1}
    client.delete(f"{keys.prefix_of('acme')}job:a")
    assert redis_ledger(client, clock).admit([application("a", OWNER)]) == [Seen("placed")]
    assert len(outbox(client)) == 1 and client.exists(f"{keys.prefix_of('acme')}leases") == 0


def test_what_is_in_hand_or_has_another_owner_is_left_alone(
    client: redis.Redis, clock: StoredClock, ends: ToldEnds
) -> None:
    """The worker that has the job decides; an id of another account is not this job."""
    mine, foreign = told(client, clock, "a"), told(client, clock, "b")
    ledger = redis_ledger(client, clock)
    (lease,) = ledger.admit([application("a", OWNER)])
    ledger.admit([application("b", account("globex"), may_dial=False)])
    assert isinstance(lease, Lease)
    assert ends.put_back([mine, foreign]) == {"in_hand": 1, "other_account": 1}
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), failed(lease))
    assert ends.put_back([mine]) == {"known": 1}


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", "1", '{"type":"call.placed","id":"evt_1","data":{"id":"a b"}}']
)
def test_what_is_no_event_is_refused(line: str) -> None:
    """A file of something else must not be taken for a file without ends."""
    with pytest.raises(ValueError):
        read(line)


def test_events_that_end_no_job_are_left_out() -> None:
    """News for producers, events of webhooks, and jobs of accounts that do not exist, whose ids are free."""
    other = {"id": "evt_1", "type": "job.conflict", "data": {}}
    stranger = json.loads(rejection("a", "nobody").body)
    assert read(json.dumps(stranger)) is not None
    stranger["data"]["error"]["code"] = "UNKNOWN_ACCOUNT"
    assert [read(json.dumps(one)) for one in (other, stranger)] == [None, None]
