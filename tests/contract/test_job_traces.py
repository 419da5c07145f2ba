"""The trace context that the record of an ended job keeps, for its event and its webhooks."""

from __future__ import annotations

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, job, placed, rejection
from worker.core.records import Application, Ending, Lease, Source
from worker.core.retry import Tally
from worker.errors import WrongKey
from worker.state import keys
from worker.state.job_traces import JobTraces
from worker.state.ledger import RedisLedger
from worker.state.views import JobViews

SHARD = keys.prefix_of("acme")
OWNER = account(rate="100/s", burst=9)
CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return redis_ledger(client)


def end(ledger: RedisLedger, job_id: str, trace: str) -> None:
    one = job(job_id, traceparent=CONTEXT, tracestate="v=1")
    (lease,) = ledger.admit([Application(one, OWNER, Source.CELERY, may_dial=True)])
    assert isinstance(lease, Lease) and lease.job == one
    decisions.record(ledger, Ending(lease, OWNER, Tally(sent=1), placed(lease), trace))


def test_ended_job_keeps_the_context_it_was_given(ledger: RedisLedger, client: redis.Redis) -> None:
    """In order for many jobs at once; empty for a job without one, and for one that is not on record."""
    end(ledger, "a", f"{CONTEXT} v=1")
    end(ledger, "b", "")
    ledger.reject("c", "acme", OWNER, rejection("c", "acme"), "content", CONTEXT)
    found = JobTraces(client).of([("acme", name) for name in ("c", "b", "a", "never")])
    assert found == [CONTEXT, "", f"{CONTEXT} v=1", ""]
    assert not client.hexists(f"{SHARD}job:b", "trace")


def test_people_see_the_trace_of_a_job(ledger: RedisLedger, client: redis.Redis) -> None:
    """Its own once it has ended, its producer's while it waits, and none if it has none."""
    own = CONTEXT.replace("0af7", "1bf8")
    end(ledger, "a", own)
    end(ledger, "b", "")
    one = job("c", traceparent=CONTEXT)
    ledger.admit([Application(one, OWNER, Source.CELERY, may_dial=False)])
    views = [JobViews(client).find(name) for name in "abc"]
    assert [view and view.trace_id for view in views] == [own.split("-")[1], None, CONTEXT.split("-")[1]]


def test_waiting_job_keeps_its_producers_context(ledger: RedisLedger) -> None:
    """Whatever worker leases it gets the job with it."""
    one = job("a", traceparent=CONTEXT, tracestate="v=1")
    ledger.admit([Application(one, OWNER, Source.CELERY, may_dial=False)])
    (lease,) = ledger.lease_due(1).leases
    assert (lease.job.traceparent, lease.job.tracestate) == (CONTEXT, "v=1")


def test_key_of_another_type_is_named(client: redis.Redis) -> None:
    """The caller can go on without a context."""
    client.set(f"{SHARD}job:a", "x")
    with pytest.raises(WrongKey):
        JobTraces(client).of([("acme", "a")])
