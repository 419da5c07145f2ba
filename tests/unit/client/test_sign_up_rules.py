"""The rules of the sign-up in examples/services: calls, PINs, pauses, and what events tell."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from callworker import InvalidJob, Job
from callworker.testing import FakeClient
from sqlite_store import SqliteStore
from tests.doubles.clocks import FakeClock
from verification import (
    COOL_DOWN_SECONDS,
    MAX_CALLS,
    MAX_CALLS_SECONDS,
    MAX_TRIES,
    VALID_SECONDS,
    Refused,
    Unknown,
    Verifications,
)

NUMBER = ("1", "2125550123")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sign_up(callworker_fake: FakeClient, clock: FakeClock, tmp_path: Path) -> Verifications:
    return Verifications(callworker_fake, SqliteStore(str(tmp_path / "db")), "acme", b"key", clock)


def code(job: Job) -> str:
    return str(job.code)


def refusal(act: Any, *arguments: str) -> Refused:
    with pytest.raises(Refused) as caught:
        act(*arguments)
    return caught.value


def test_pin_of_the_call_verifies(sign_up: Verifications, callworker_fake: FakeClient) -> None:
    """A wrong one does not, and the right one stays right."""
    name = sign_up.start(*NUMBER)
    (job,) = callworker_fake.jobs
    assert (job.account, job.country, job.phone) == ("acme", *NUMBER)
    wrong = "10000" if code(job) != "10000" else "10001"
    assert [sign_up.check(name, pin) for pin in (wrong, f" {job.code} ", wrong)] == [False, True, True]
    assert sign_up.get(name).state == "verified"


def test_number_is_called_again_after_a_pause(
    sign_up: Verifications, callworker_fake: FakeClient, clock: FakeClock
) -> None:
    """The new call has another PIN, the old PIN is not valid any more, and a call that still waited is canceled."""
    name = sign_up.start(*NUMBER)
    assert refusal(sign_up.call_again, name).retry_after == COOL_DOWN_SECONDS + 1
    assert refusal(sign_up.start, *NUMBER).code == "TOO_SOON"
    clock.advance(COOL_DOWN_SECONDS)
    sign_up.call_again(name)
    first, second = callworker_fake.jobs
    event = callworker_fake.event(str(first.id))
    assert event is not None and event.error is not None and event.error.code == "CANCELED"
    assert not sign_up.check(name, code(first))
    assert sign_up.check(name, code(second))
    assert refusal(sign_up.call_again, name).code == "VERIFIED"


def test_number_is_called_a_few_times_a_day(sign_up: Verifications, clock: FakeClock) -> None:
    """However many sign-ups are begun for it."""
    for _ in range(MAX_CALLS):
        sign_up.start(*NUMBER)
        clock.advance(COOL_DOWN_SECONDS)
    refused = refusal(sign_up.start, *NUMBER)
    assert refused.code == "TOO_MANY_CALLS" and refused.retry_after is not None
    sign_up.start("1", "2125550124")
    clock.advance(MAX_CALLS_SECONDS - MAX_CALLS * COOL_DOWN_SECONDS)
    sign_up.start(*NUMBER)


def test_pins_are_tried_a_few_times(sign_up: Verifications, callworker_fake: FakeClient) -> None:
    """Also at the same moment."""
    name = sign_up.start(*NUMBER)
    answers: list[bool | str] = []

    def attempt() -> None:
        try:
            answers.append(sign_up.check(name, "nonsense"))
        except Refused as error:
            answers.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(3 * MAX_TRIES)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers.count(False) == MAX_TRIES and answers.count("TOO_MANY_TRIES") == 2 * MAX_TRIES
    assert refusal(sign_up.check, name, code(callworker_fake.jobs[0])).code == "TOO_MANY_TRIES"


def test_pin_is_valid_for_some_minutes(
    sign_up: Verifications, callworker_fake: FakeClient, clock: FakeClock
) -> None:
    """After that another call is needed."""
    name = sign_up.start(*NUMBER)
    clock.advance(VALID_SECONDS + 1)
    assert refusal(sign_up.check, name, code(callworker_fake.jobs[0])).code == "TOO_LATE"


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("2125550123", ("called", "")),
        ("2125550004", ("called", "")),
        ("2125550001", ("not_called", "INVALID_TELEPHONE")),
        ("2125550008", ("not_called", "EXPIRED")),
    ],
)
def test_events_tell_what_became_of_a_call(
    sign_up: Verifications, callworker_fake: FakeClient, phone: str, shown: tuple[str, str]
) -> None:
    """Where the phone may have rung, the person may have the PIN. A repeat of an event changes nothing."""
    name = sign_up.start("1", phone)
    (event,) = callworker_fake.finish()
    for _ in range(2):
        sign_up.told(event)
        found = sign_up.get(name)
        assert (found.state, found.reason) == shown


def test_late_and_foreign_events_are_ignored(
    sign_up: Verifications, callworker_fake: FakeClient, clock: FakeClock
) -> None:
    """A call before the last one says nothing of it, and other services use the same broker."""
    name = sign_up.start("1", "2125550001")
    callworker_fake.enqueue(Job("acme", *NUMBER, "4711", id="order-1"))
    late, foreign = callworker_fake.finish()
    clock.advance(COOL_DOWN_SECONDS)
    sign_up.call_again(name)
    for event in (late, foreign):
        sign_up.told(event)
    assert sign_up.get(name).state == "calling"


def test_what_cannot_be_a_number_is_not_called(sign_up: Verifications, callworker_fake: FakeClient) -> None:
    """Nothing is kept of it, and nothing is known of an id that was not given."""
    with pytest.raises(InvalidJob):
        sign_up.start("1", "12")
    with pytest.raises(Unknown):
        sign_up.check("sign-up-1", "4711")
    assert callworker_fake.jobs == []
