"""`callworker.testing`: a client that sends nothing, and lets a test decide."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from callworker import AsyncClient, BrokerUnavailable, Client, ConfigurationError, Event, InvalidJob, Job
from callworker.testing import AsyncFakeClient, FakeClient, failed, placed
from callworker.webhooks import verify

SECRET = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tr"


@pytest.fixture
def fake() -> Iterator[FakeClient]:
    with FakeClient() as fake:
        yield fake


def job(job_id: str | None = "order-1", phone: str = "2125550123", **more: Any) -> Job:
    return Job("acme", 1, phone, "4711", id=job_id, **more)


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


@pytest.mark.parametrize(("real", "fake"), [(Client, FakeClient), (AsyncClient, AsyncFakeClient)])
def test_fake_has_the_surface_of_the_client(real: type, fake: type) -> None:
    """Each public method is replaced, with the same parameters, or calls one that is: none can reach a real broker."""
    for name, method in inspect.getmembers(real, inspect.isfunction):
        if not name.startswith("_") and name not in ("call", "check", "enqueue", "enqueue_many"):
            replaced = getattr(fake, name)
            assert replaced is not method, name
            assert inspect.signature(replaced).parameters == inspect.signature(method).parameters


def test_jobs_are_seen_as_they_were_sent(fake: FakeClient) -> None:
    """Jobs are kept in order with their fields as strings; ids are made up as the real client does."""
    made = fake.enqueue_many([job(), {"account": "acme", "country": 1, "phone": 2125550124, "code": 4711}])
    assert [one.id for one in fake.jobs] == made == ["order-1", fake.jobs[1].id]
    assert (fake.jobs[1].country, fake.jobs[1].phone, fake.jobs[1].code) == ("1", "2125550124", "4711")
    assert fake.waiting == fake.jobs


def test_wrong_job_is_refused_as_by_the_client(fake: FakeClient) -> None:
    """A wrong job raises the client's own error, and none of a batch is kept."""
    with pytest.raises(InvalidJob) as caught:
        fake.enqueue_many([job(), job("order-2", phone="12")])
    assert caught.value.fields == {"phone": "must be 5 to 15 digits and nothing else"}
    assert fake.jobs == []


def test_test_decides_how_a_job_ends(fake: FakeClient) -> None:
    """Each way to end a job gives its event, which the job keeps."""
    for number in range(5):
        fake.enqueue(job(f"order-{number}", ref="a note"))
    ended = [
        fake.place("order-0", ref="R" * 32),
        fake.fail("order-1", "INVALID_TELEPHONE"),
        fake.unknown("order-2"),
        fake.expire("order-3"),
        fake.reject("order-4"),
    ]
    assert kinds(ended) == ["call.placed", "call.failed", "call.unknown", "call.expired", "call.rejected"]
    assert ended[0].data.ref == "R" * 32
    assert [event.error and event.error.code for event in ended[1:]] == [
        "INVALID_TELEPHONE",
        "OUTCOME_UNKNOWN",
        "EXPIRED",
        "UNKNOWN_ACCOUNT",
    ]
    assert ended[4].error
    assert ended[4].error.fields == {"account": "is not in the accounts file"}
    assert (ended[0].data.phone, ended[0].data.note) == ("******0123", "a note")
    assert [fake.event(one.id or "") for one in fake.jobs] == ended == fake.published
    assert fake.waiting == []


def test_mistake_of_a_test_is_named(fake: FakeClient) -> None:
    """A job that was not sent, or that has ended, cannot be ended."""
    fake.enqueue(job())
    with pytest.raises(LookupError, match="sent were: order-1"):
        fake.place("order-2")
    fake.place("order-1")
    with pytest.raises(LookupError, match=r"has ended as call\.placed"):
        fake.fail("order-1")


def test_undecided_jobs_end_when_events_are_read(fake: FakeClient) -> None:
    """A loop over events sees every job end by the sandbox's table, and is over after that."""
    with fake.events() as events:
        fake.enqueue_many([job("a"), job("b", phone="2125550001"), job("c")])
        fake.place("c", ref="C" * 32)
        assert [(event.data.id, event.status) for event in events] == [
            ("c", "placed"),
            ("a", "placed"),
            ("b", "failed"),
        ]


def test_outcome_can_be_chosen(fake: FakeClient) -> None:
    """A function decides by the job; None lets it wait."""
    fake.outcome = lambda one: {"a": placed("A" * 32), "b": failed("CARRIER_SUSPENDED")}.get(one.id or "")
    fake.enqueue_many([job("a"), job("b"), job("c")])
    assert kinds(fake.finish()) == ["call.placed", "call.failed"]
    assert [one.id for one in fake.waiting] == ["c"]


def test_one_id_is_one_job(fake: FakeClient) -> None:
    """A repeat changes nothing; other fields, or another account, are told as a conflict without values."""
    fake.enqueue(job(traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    fake.enqueue(job(expires_at="2199-01-01T00:00:00Z"))
    assert (len(fake.jobs), fake.published) == (1, [])
    fake.enqueue(job(phone="2125550199"))
    fake.enqueue({"id": "order-1", "account": "other", "country": "1", "phone": "2125550123", "code": "4711"})
    assert kinds(fake.published) == ["job.conflict", "job.conflict"]
    same, foreign = (event.raw["data"] for event in fake.published)
    assert (same["status"], same["fields"]) == ("waiting", ["phone"])
    assert (foreign["status"], foreign["fields"]) == (None, ["account"])
    assert "2125550199" not in str(fake.published)


def test_id_of_an_unknown_account_stays_free(fake: FakeClient) -> None:
    """The one rejection after which the same id may be used again."""
    fake.enqueue(job())
    fake.reject("order-1", "UNKNOWN_ACCOUNT")
    fake.enqueue(job())
    assert kinds([fake.place("order-1")]) == ["call.placed"]


def test_cancel_follows_the_contract(fake: FakeClient) -> None:
    """A job that waits is taken back, one cancel is enough, and one that comes before its job counts."""
    fake.cancel("early")
    fake.enqueue_many([job("early"), job("waits"), job("rings"), job("ended"), job("foreign")])
    fake.dial("rings")
    fake.place("ended")
    for name in ("waits", "waits", "rings", "ended"):
        fake.cancel(name)
    fake.cancel("foreign", account="other")
    told = [(event.type, event.data.id, event.raw["data"].get("status")) for event in fake.published]
    assert told == [
        ("call.expired", "early", None),
        ("call.placed", "ended", None),
        ("call.expired", "waits", None),
        ("job.not_canceled", "rings", "dialling"),
        ("job.not_canceled", "ended", "placed"),
        ("job.not_canceled", "foreign", "not_found"),
    ]
    assert {event.error.code for event in fake.published if event.status == "expired" and event.error} == {
        "CANCELED"
    }


def test_job_that_comes_too_late_expires(fake: FakeClient) -> None:
    """`expires_at` in the past ends a job at once."""
    fake.enqueue(job(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert kinds(fake.published) == ["call.expired"]


def test_queues_are_as_on_a_broker(fake: FakeClient) -> None:
    """An own queue begins with its reader. A durable one keeps what nobody has read, and what is not done."""
    fake.enqueue_many([job("a"), job("b")])
    fake.place("a")
    with fake.events() as own:
        fake.place("b")
        assert [event.data.id for event in own] == ["b"]
    with fake.events(queue="results.orders") as first:
        assert next(first).data.id == "a"
    with fake.events(queue="results.orders") as second:
        assert [event.data.id for event in second] == ["a", "b"]
    assert list(fake.events(queue="results.orders")) == []


def test_types_choose_events(fake: FakeClient) -> None:
    """A queue gets the types that it is bound to, and wrong patterns are refused."""
    with fake.events(["call.failed", "job.*"]) as events:
        fake.enqueue_many([job("a"), job("b", phone="2125550001")])
        fake.enqueue(job("a", phone="2125550199"))
        assert kinds(list(events)) == ["job.conflict", "call.failed"]
    wrong: str | list[str]
    for wrong in ("", "call.*.", [], "call placed"):
        with pytest.raises(ConfigurationError, match="types"):
            fake.events(wrong)
    for name in ("", "calls", "calls.3", "results.listen.x", "a b"):
        with pytest.raises(ConfigurationError, match="queue"):
            fake.events(queue=name)


def test_call_returns_the_event(fake: FakeClient) -> None:
    """Sending and waiting is one call; a job that does not end gives None."""
    event = fake.call(job(phone="2125550013"))
    assert event and event.error
    assert (event.data.id, event.data.attempts, event.error.code) == ("order-1", 5, "PROVIDER_UNAVAILABLE")
    fake.outcome = lambda _: None
    assert fake.call(job("order-2")) is None


def test_blocking_reader_waits_for_the_test() -> None:
    """A program that reads in a thread gets each event as the test decides it, until the test closes the client."""
    fake = FakeClient(outcome=lambda _: None, block=True)
    got: list[Event] = []
    done = threading.Semaphore(0)

    def work() -> None:
        for event in fake.events(queue="results.orders"):
            got.append(event)
            done.release()

    reader = threading.Thread(target=work, daemon=True)
    reader.start()
    for name in ("a", "b"):
        fake.enqueue(job(name))
        fake.place(name)
        assert done.acquire(timeout=60)
    fake.close()
    reader.join(60)
    assert not reader.is_alive()
    assert [event.data.id for event in got] == ["a", "b"]


def test_broker_can_be_away(fake: FakeClient) -> None:
    """A test can see what its program does when nothing can be sent or read."""
    fake.down = True
    for reach in (lambda: fake.enqueue(job()), lambda: fake.cancel("order-1"), fake.events):
        with pytest.raises(BrokerUnavailable):
            reach()
    fake.down = False
    fake.enqueue(job())
    assert len(fake.jobs) == 1


def test_webhook_is_genuine(fake: FakeClient) -> None:
    """Body and headers verify with this package and with that of the specification, and name the event."""
    fake.enqueue(job(ref="Grüße"))
    event = fake.place("order-1")
    body, headers = fake.webhook(event, SECRET)
    assert verify(body, headers, SECRET) == event
    assert Webhook(SECRET).verify(body, headers) == event.raw
    assert headers["callworker-sequence"] == "1"
    body, headers = fake.webhook(event, SECRET, sent_at=1_800_000_000)
    assert verify(body, headers, SECRET, now=1_800_000_001) == event


def test_asyncio_client_has_the_same_fake() -> None:
    """Sending, reading, waiting and canceling are awaited; what the test decides is not."""

    async def main() -> None:
        async with AsyncFakeClient() as fake:
            async with fake.events(["call.*", "job.*"]) as events:
                await fake.enqueue_many([job("a"), job("b", phone="2125550001"), job("c")])
                await fake.cancel("c")
                fake.place("a")
                await fake.cancel("a")
                assert [event.type async for event in events] == [
                    "call.expired",
                    "call.placed",
                    "job.not_canceled",
                    "call.failed",
                ]
            event = await fake.call(job("d"))
            assert event and event.data.id == "d"
            fake.down = True
            with pytest.raises(BrokerUnavailable):
                await fake.enqueue(job("e"))

    asyncio.run(main())


def test_asyncio_reader_waits_for_the_test() -> None:
    """With `block`, a task gets each event as the test decides it, until the test closes the client."""

    async def main() -> None:
        fake = AsyncFakeClient(outcome=lambda _: None, block=True)

        async def work() -> list[str]:
            return [event.data.id async for event in fake.events(queue="results.orders")]

        working = asyncio.create_task(work())
        for name in ("a", "b"):
            await fake.enqueue(job(name))
            fake.place(name)
        while fake._installation.queue(["call.*"], "results.orders").waiting:
            await asyncio.sleep(0.01)
        await fake.close()
        assert await working == ["a", "b"]

    asyncio.run(main())
