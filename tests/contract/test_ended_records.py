"""What Redis keeps of an ended job: its record for an hour, and beside the claim of its id how it ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from tests.contract.hooks import Lanes
from tests.doubles import decisions
from tests.doubles.ages import grow_older
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, failed, job, placed, rejection
from worker.core.events import Status
from worker.core.records import Application, Foreign, Lease, Recorded, Seen, Source
from worker.core.repeats import OTHER_FIELDS
from worker.core.retry import Tally
from worker.delivery.ports import Destination
from worker.errors import LeaseLost
from worker.state import keys
from worker.state.claims import Ended, Owner
from worker.state.endpoints import RedisEndpoints
from worker.state.job_view import JobView
from worker.state.ledger import RedisLedger
from worker.state.outbox import RedisOutbox
from worker.state.views import JobViews

SHARD = keys.prefix_of("acme")
OWNER = account(rate="100/s", burst=9)
HOUR, DAY = 3600, 86400
LONG = "é" * 255


@pytest.fixture
def ledger(client: redis.Redis, clock: StoredClock) -> RedisLedger:
    """A worker's ledger that remembers ended jobs for a week."""
    return redis_ledger(client, clock, retention_seconds=7 * DAY)


def end(ledger: RedisLedger, job_id: str = "a", **fields: Any) -> Lease:
    (lease,) = ledger.admit([submission(job_id, **fields)])
    assert isinstance(lease, Lease)
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), placed(lease))
    return lease


def submission(job_id: str = "a", **fields: Any) -> Application:
    return Application(job(job_id, **fields), OWNER, Source.CELERY, may_dial=True)


def shown(client: redis.Redis, job_id: str = "a") -> JobView:
    view = JobViews(client).find(job_id)
    assert view is not None
    return view


def test_an_hour_after_its_end_only_the_claim_is_left(client: redis.Redis, ledger: RedisLedger) -> None:
    """It tells account, status, when, the digest and the event, for as long as the id is remembered."""
    end(ledger, ref=LONG)
    assert 0 < client.pttl(f"{SHARD}job:a") <= HOUR * 1000
    event = shown(client).event_id
    grow_older(client, HOUR)
    assert [*client.scan_iter("*:a")] == [keys.claim("a").encode()]
    claim: Any = client.get(keys.claim("a"))
    assert Owner.read(claim) == Owner(
        "acme", Ended("placed", 1_800_000_000_000, claim[-40:-37].decode(), event or "")
    )
    assert (7 * DAY - HOUR - 60) * 1000 < client.pttl(keys.claim("a")) <= (7 * DAY - HOUR) * 1000
    grow_older(client, 7 * DAY - HOUR)
    assert JobViews(client).find("a") is None


def endings(client: redis.Redis) -> int:
    """The number of events that end a job."""
    rows: Any = client.lrange(f"{SHARD}outbox", 0, -1)
    return sum(row.startswith(b"call.") for row in rows)


@pytest.mark.parametrize("hours", [0, 1, 167])
def test_a_repeat_is_known_until_the_id_is_forgotten(
    client: redis.Redis, ledger: RedisLedger, hours: int
) -> None:
    """The same job is a repeat, another one a conflict, another account's foreign: none of them is called again."""
    end(ledger)
    grow_older(client, hours * HOUR)
    other = application("a", account("globex"))
    assert ledger.admit([submission(), submission(code="999"), other, submission("new")])[:3] == [
        Seen("placed"), Seen("placed", OTHER_FIELDS), Foreign(),
    ]  # fmt: skip
    assert JobViews(client).differs(job("a")) == ()
    assert JobViews(client).differs(job("a", code="999")) == OTHER_FIELDS
    assert endings(client) == 1 and ledger.lease_due(9).leases == []


def test_a_forgotten_id_is_a_new_job(client: redis.Redis, ledger: RedisLedger) -> None:
    """Once the claim has gone too, the same id is called."""
    end(ledger)
    grow_older(client, 7 * DAY)
    assert isinstance(ledger.admit([submission()])[0], Lease)


@pytest.mark.parametrize("hours", [0, 1])
def test_a_rejected_job_is_known(client: redis.Redis, ledger: RedisLedger, hours: int) -> None:
    """A job that never was valid is rejected once, and so is its repeat if its account is no longer in the file."""
    event = rejection("a", "acme")
    assert ledger.reject("a", "acme", OWNER, event, "{}") is None
    grow_older(client, hours * HOUR)
    for owner in (OWNER, None):
        assert ledger.reject("a", "acme", owner, rejection("a", "acme"), "{}") == Seen("rejected")
        assert ledger.reject("a", "acme", owner, event, '{"code":"1"}') == Seen("rejected", OTHER_FIELDS)
        assert ledger.reject("a", "globex", owner, event, "{}") == Foreign()
    assert endings(client) == 1
    assert (shown(client).state, shown(client).event_id) == ("rejected", event.id)


@pytest.mark.parametrize("hours", [0, 1])
def test_an_outcome_whose_reply_was_lost_is_on_record(
    client: redis.Redis, ledger: RedisLedger, hours: int
) -> None:
    """The same outcome again is done and changes nothing, however late; another one is refused."""
    (lease,) = ledger.admit([submission()])
    assert isinstance(lease, Lease)
    event = placed(lease)
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), event)
    before = client.get(keys.claim("a"))
    grow_older(client, hours * HOUR)
    assert decisions.settle(ledger, lease, OWNER, Tally(sent=1), event) is Recorded.DONE
    with pytest.raises(LeaseLost):
        decisions.settle(ledger, lease, OWNER, Tally(sent=1), failed(lease))
    assert client.get(keys.claim("a")) == before and client.llen(f"{SHARD}outbox") == 1


def test_what_is_left_is_shown(client: redis.Redis, ledger: RedisLedger) -> None:
    """The view keeps state, account, time and event id, and says that the details are dropped."""
    end(ledger)
    whole = shown(client)
    assert not whole.dropped and whole.event is not None and whole.event["id"] == whole.event_id
    grow_older(client, HOUR)
    rest = shown(client)
    assert rest.dropped and rest.ended and rest.state == Status.PLACED
    assert (rest.account, rest.event_id) == (whole.account, whole.event_id)
    assert whole.finished_us is not None and rest.finished_us is not None
    assert 0 <= whole.finished_us - rest.finished_us < 1000
    assert {name for name, value in rest.as_dict().items() if value not in (None, [])} == {
        "id", "account", "state", "finished_at", "event_id", "details_dropped",
    }  # fmt: skip


def test_a_conflict_and_its_count_outlive_the_end(client: redis.Redis, ledger: RedisLedger) -> None:
    """What was counted while the job was under way is still told once it has ended, and requests that may have rung."""
    (lease,) = ledger.admit([submission()])
    assert isinstance(lease, Lease)
    ledger.admit([submission(code="999")])
    decisions.settle(ledger, lease, OWNER, Tally(sent=2, perhaps_rung=1), placed(lease))
    ledger.admit([submission(code="999")])
    view = shown(client)
    assert (view.conflicts, view.perhaps_rung) == (2, 1) and view.conflict_us is not None


def test_a_record_with_deliveries_is_kept_whole(client: redis.Redis, clock: StoredClock) -> None:
    """Its event can be delivered and replayed for as long as the record was promised, not for an hour."""
    lanes = Lanes(client, clock)
    lanes.ledger = redis_ledger(client, clock, retention_seconds=7 * DAY)
    lanes.end("a")
    grow_older(client, DAY)
    first = lanes.one()
    lanes.delivered(first)
    grow_older(client, 6 * DAY)
    assert RedisEndpoints(client).replay(Destination("acme", "one"), ["a"], 0.0) == 1
    grow_older(client, 30 * DAY)
    again = lanes.one()
    assert (again.body, again.event_id, again.sequence) == (first.body, first.event_id, first.sequence)
    lanes.delivered(again)
    assert lanes.left_seconds("a") >= HOUR - 60


def test_a_delivered_event_is_kept_for_its_replay_alone(client: redis.Redis, clock: StoredClock) -> None:
    """Its record goes when the time for a replay is over. The claim still knows a repeat."""
    lanes = Lanes(client, clock)
    lanes.ledger = redis_ledger(client, clock, retention_seconds=7 * DAY, replay_seconds=2 * DAY)
    lanes.end("a")
    grow_older(client, DAY)
    lanes.delivered(lanes.one())
    assert 2 * DAY - 60 < lanes.left_seconds("a") <= 2 * DAY
    grow_older(client, 2 * DAY)
    assert RedisEndpoints(client).replay(Destination("acme", "one"), ["a"], 0.0) == 0
    assert shown(client).state == "placed" and shown(client).event is None
    assert client.ttl(keys.claim("a")) > 3 * DAY


def test_a_job_that_an_earlier_version_ended_is_known(client: redis.Redis, ledger: RedisLedger) -> None:
    """Its record has all that is known of it, and its claim the account alone."""
    end(ledger)
    claim: Any = client.get(keys.claim("a"))
    ended = Owner.read(claim).ended
    assert ended is not None
    earlier: Any = {"account": "acme", "accepted": 1_799_999_999_000_000, "expires": 1_800_000_600_000_000,
                    "fence": 1, "sent": 1, "not_rung": 0, "perhaps": 0, "digest": ended.digest}  # fmt: skip
    client.hset(f"{SHARD}job:a", mapping=earlier)
    client.set(keys.claim("a"), "acme")
    assert ledger.admit([submission(), submission(code="999")]) == [
        Seen("placed"), Seen("placed", OTHER_FIELDS),
    ]  # fmt: skip
    assert ledger.reject("a", "acme", OWNER, rejection("a", "acme"), "{}") == Seen("placed", OTHER_FIELDS)
    view = shown(client)
    assert (view.accepted_us, view.expires_us) == (1_799_999_999_000_000, 1_800_000_600_000_000)
    assert view.event is not None and view.event["id"] == ended.event_id


@pytest.mark.parametrize(
    "claim", [b"acme", b"acme placed", b"acme placed soon 3f2 evt_1", b"acme one two three"]
)
def test_a_claim_in_no_known_form_names_its_account(claim: bytes) -> None:
    """Words that are not those of an end are left out."""
    assert Owner.read(claim) == Owner("acme")


def test_an_event_leaves_as_it_was_written(client: redis.Redis, ledger: RedisLedger) -> None:
    """What a short record leaves out is not left out of the event: the outbox has the same bytes."""
    end(ledger)
    record: Any = client.hget(f"{SHARD}job:a", "event")
    ((event,),) = RedisOutbox(ledger._scripts).next().values()
    assert event.body == record.decode() and json.loads(event.body)["data"]["id"] == "a"
