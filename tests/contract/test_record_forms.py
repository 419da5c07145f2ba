"""The forms of a waiting job in Redis: the one written now, short or long, and the one before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.samples import account, expired, job, moment, placed
from worker.core.jobs import Job
from worker.core.records import Application, Due, Reason, Source
from worker.core.retry import Tally
from worker.state import keys
from worker.state.census import Census
from worker.state.job_view import JobView
from worker.state.ledger import RedisLedger
from worker.state.views import JobViews

SHARD = keys.prefix_of("acme")
OWNER = account(rate="1/s", ttl=600)
LONG = "é" * 255


@pytest.fixture
def now(ledger: RedisLedger, clock: StoredClock) -> Callable[[Job], None]:
    """Parks a job as this version does."""

    def park(one: Job) -> None:
        ledger.admit([Application(one, OWNER, Source.CELERY, may_dial=False)])

    return park


@pytest.fixture
def before(client: redis.Redis, ledger: RedisLedger, clock: StoredClock) -> Callable[[Job], None]:
    """Leaves what the version before this one left of a job that it had parked."""

    def park(one: Job) -> None:
        accepted, expires = clock.now_us, clock.now_us + 600_000_000
        if one.expires_at is not None:
            expires = round(one.expires_at.timestamp() * 1_000_000)
        ledger.declare([OWNER])
        client.set(keys.claim(one.id), one.account)
        client.set(f"{SHARD}payload:{one.id}", one.model_dump_json(exclude_none=True))
        record: Any = {
            "account": one.account, "accepted": accepted, "expires": expires, "state": "waiting",
            "why": "capacity", "since": accepted, "history": f"{accepted / 1000:.0f} waiting capacity\n",
        }  # fmt: skip
        client.hset(f"{SHARD}job:{one.id}", mapping=record)
        client.zadd(f"{SHARD}lane:{one.account}", {one.id: accepted})
        client.zadd(f"{SHARD}expiry", {one.id: expires})
        client.zadd(f"{SHARD}due", {one.account: accepted})

    return park


@pytest.fixture(params=["now", "before"])
def form(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def park(form: str, request: pytest.FixtureRequest) -> Callable[[Job], None]:
    either: Callable[[Job], None] = request.getfixturevalue(form)
    return either


@pytest.fixture
def why(form: str) -> Reason:
    """The reason of the first wait, as that version gives it."""
    return {"now": Reason.NO_PLACES, "before": Reason.CAPACITY}[form]


def jobs(clock: StoredClock) -> list[Job]:
    """Jobs with fields of every form that a record can hold."""
    until = moment(clock.now_us + 60_123_456).isoformat()
    return [
        job("plain"),
        job("noted", ref='a "note"'),
        job("long", ref=LONG, message="Hebrew", ext="12"),
        job("until", expires_at=until),
        Job.parse(
            {**job("all").model_dump(), "ref": "n", "exttype": 2, "ext": "1,2", "message": "Arabic",
             "expires_at": until},
            extended=True,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_a_waiting_job_is_leased_as_it_came(
    number: int, park: Callable[[Job], None], why: Reason, ledger: RedisLedger, clock: StoredClock
) -> None:
    """A waiting job is leased with all its fields, its times and the reason of its wait, as any version wrote it."""
    one, came_us = jobs(clock)[number], clock.now_us
    park(one)
    clock.advance(3)
    (lease,) = ledger.lease_due(10).leases
    assert lease.job == one and lease.accepted_at_us == came_us and lease.fence == 1
    assert (lease.waited_for, lease.waited_seconds) == (why, 3.0)


@pytest.mark.parametrize("number", range(5))
def test_a_job_is_shown_the_same_in_either_form(
    number: int,
    now: Callable[[Job], None],
    before: Callable[[Job], None],
    client: redis.Redis,
    clock: StoredClock,
) -> None:
    """A job in its first wait is shown the same in either form, with its note, but for the name of its reason."""
    one = jobs(clock)[number]
    views, histories = [], []
    for park in (now, before):
        park(one)
        view = shown(client, one.id)
        assert view.wait is not None
        # Told by Redis' own clock, which goes on between the two.
        views.append(replace(view, wait=replace(view.wait, until_us=None), history=()))
        histories.append([(step.name, step.detail) for step in view.history])
        client.flushdb()
        clock.advance(0)
    assert views[0] == views[1] and views[0].note == one.ref
    assert histories == [[("waiting", "no_places")], [("waiting", "capacity")]]


def test_the_first_wait_stays_in_the_history(
    park: Callable[[Job], None], why: Reason, ledger: RedisLedger, client: redis.Redis, clock: StoredClock
) -> None:
    """The first wait stays in the history with its own time after later steps: leased, parked again, ended."""
    park(job("a"))
    accepted = shown(client, "a").accepted_us
    clock.advance(1)
    (lease,) = ledger.lease_due(10).leases
    assert steps(client) == [(0, "waiting", why), (1, "dialling", "")]
    decisions.park(ledger, lease, Tally(), Reason.BACKOFF, 1.0, "503")
    clock.advance(1)
    (lease,) = ledger.lease_due(10).leases
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), placed(lease))
    assert steps(client) == [
        (0, "waiting", why), (1, "dialling", ""), (1, "waiting", "backoff 503"), (2, "dialling", ""),
        (2, "placed", ""),
    ]  # fmt: skip
    assert shown(client, "a").history[0].at_us == accepted


def test_a_job_that_expired_in_its_first_wait_tells_of_it(
    park: Callable[[Job], None], why: Reason, ledger: RedisLedger, client: redis.Redis, clock: StoredClock
) -> None:
    """It was never leased to be dialled, and its story has two lines all the same."""
    park(job("a"))
    clock.advance(601)
    (lease,) = ledger.reclaim(10)
    assert lease.due is Due.EXPIRED
    decisions.settle(ledger, lease, OWNER, Tally(), expired(lease))
    assert steps(client) == [(0, "waiting", why), (601, "expired", "")]


def test_a_job_parked_by_the_sweeper_tells_of_both_waits(
    park: Callable[[Job], None], why: Reason, ledger: RedisLedger, client: redis.Redis, clock: StoredClock
) -> None:
    """Taken as expired by a worker in whose time it is not: back it goes, with a line for each wait."""
    park(job("a"))
    clock.advance(601)
    (lease,) = ledger.reclaim(10)
    decisions.park(ledger, lease, Tally(), Reason.BACKOFF, 0.0, "the worker was lost")
    assert steps(client) == [(0, "waiting", why), (601, "waiting", "backoff the worker was lost")]


@pytest.mark.parametrize("number", range(5))
def test_an_ended_job_leaves_no_pin_in_either_form(
    number: int,
    park: Callable[[Job], None],
    ledger: RedisLedger,
    client: redis.Redis,
    clock: StoredClock,
) -> None:
    """The PIN is neither in the record of an ended job nor beside it."""
    one = jobs(clock)[number]
    park(one)
    (lease,) = ledger.lease_due(10).leases
    decisions.settle(ledger, lease, OWNER, Tally(sent=1), placed(lease))
    record: Any = client.hgetall(f"{SHARD}job:{one.id}")
    assert not client.exists(f"{SHARD}payload:{one.id}") and b"job" not in record
    assert b"4321" not in b"".join(record.values())


@pytest.mark.parametrize("number", range(5))
def test_a_waiting_record_is_kept_in_the_tight_form(
    number: int, now: Callable[[Job], None], client: Any, clock: StoredClock
) -> None:
    """Long texts are stored beside a waiting record, because one long field would cost it the compact form."""
    one = jobs(clock)[number]
    now(one)
    assert client.object("encoding", f"{SHARD}job:{one.id}") in (b"listpack", b"ziplist")
    assert client.exists(f"{SHARD}payload:{one.id}") == (len(one.packed().encode()) > 64)


@pytest.mark.parametrize("number", range(5))
def test_an_earlier_version_reads_a_job_with_a_trace_context(
    number: int, now: Callable[[Job], None], ledger: RedisLedger, client: Any, clock: StoredClock
) -> None:
    """Workers of 0.1.0 refuse an array of more than eight values, and never dial its job. This one gets it whole."""
    context = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "a=1 2"}
    one = jobs(clock)[number].model_copy(update=context)
    now(one)
    array = client.hget(f"{SHARD}job:{one.id}", "job") or client.get(f"{SHARD}payload:{one.id}")
    assert len(json.loads(array)) <= 8
    assert client.object("encoding", f"{SHARD}job:{one.id}") in (b"listpack", b"ziplist")
    (lease,) = ledger.lease_due(1).leases
    assert lease.job == one


def test_an_earlier_version_sees_no_reason_that_it_does_not_know(
    now: Callable[[Job], None], ledger: RedisLedger, client: Any, clock: StoredClock
) -> None:
    """It reads `why`, and could not read a lease with a reason of later versions; these are in a field of their own."""
    now(job("a"))
    assert client.hmget(f"{SHARD}job:a", "why", "lacks") == [None, b"no_places"]
    ledger.lease_due(1)
    assert client.hmget(f"{SHARD}job:a", "why", "lacks") == [None, None]


def test_a_reason_of_a_later_version_is_no_obstacle(
    now: Callable[[Job], None], ledger: RedisLedger, client: Any, clock: StoredClock
) -> None:
    """A job that waited for something unknown here is leased, and the wait has no reason."""
    now(job("a"))
    client.hset(f"{SHARD}job:a", "lacks", "moonlight")
    (lease,) = ledger.lease_due(1).leases
    assert lease.job == job("a") and lease.waited_for is None


def test_an_earlier_version_may_release_what_this_one_parked(
    now: Callable[[Job], None], ledger: RedisLedger, client: Any, clock: StoredClock
) -> None:
    """What it leaves in the index of ages is not counted, and the next job that comes back to the lane clears it up."""
    for name in ("a", "b"):
        now(job(name))
        clock.advance(2)
        (lease,) = ledger.lease_due(1).leases
        decisions.park(ledger, lease, Tally(sent=1), Reason.BACKOFF, 60.0)
        clock.advance(30)
    # As an earlier version leases and ends the first one.
    client.zrem(f"{SHARD}lane:acme", "a")
    client.hset(f"{SHARD}job:a", "state", "placed")
    assert [one.oldest_seconds for one in Census(client).accounts(["acme"])] == [pytest.approx(32, abs=1)]
    now(job("c"))
    clock.advance(2)
    (lease,) = ledger.lease_due(1).leases
    decisions.park(ledger, lease, Tally(sent=1), Reason.BACKOFF, 60.0)
    assert client.zrange(f"{SHARD}aged:acme", 0, -1) == [b"b", b"c"]


def shown(client: redis.Redis, job_id: str) -> JobView:
    view = JobViews(client).find(job_id)
    assert view is not None
    return view


def steps(client: redis.Redis) -> list[tuple[int, str, str]]:
    """Seconds since acceptance, step and detail of each line of the history of job "a"."""
    view = shown(client, "a")
    assert view.accepted_us is not None
    return [((step.at_us - view.accepted_us) // 1_000_000, step.name, step.detail) for step in view.history]
