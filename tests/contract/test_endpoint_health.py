"""The health of a webhook endpoint, kept in Redis: its breaker, its pauses, and when it is disabled."""

from __future__ import annotations

import pytest
import redis

from tests.contract.hooks import HOOKS, SHARD, Lanes
from tests.doubles.clocks import StoredClock
from worker.delivery.ports import Health

DAY = 86400


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    lanes = Lanes(client, clock)
    lanes.end("a")
    return lanes


def opened(lanes: Lanes) -> None:
    """Let the breaker open."""
    assert [effect.opened_seconds for effect in lanes.fail(10)] == [None] * 9 + [30]


def test_ten_failures_in_a_row_open_the_breaker(clock: StoredClock, lanes: Lanes) -> None:
    """What waits then waits without spending an attempt, until one probe may go."""
    opened(lanes)
    lanes.end("b", "c")
    assert lanes.take() == []
    assert lanes.store.due_seconds == pytest.approx(30)
    clock.advance(29.9)
    assert lanes.take() == []
    clock.advance(0.1)
    assert len(lanes.take()) == 1
    assert lanes.take() == []
    assert lanes.about("c") == ["3", "waiting", "0", "-"]


def test_probe_that_fails_doubles_the_pause(lanes: Lanes) -> None:
    """Up to an hour."""
    opened(lanes)
    pauses = []
    for _ in range(9):
        pauses.append(lanes.again(lanes.next(), 0.0).opened_seconds)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_probe_that_gets_through_closes_the_breaker(clock: StoredClock, lanes: Lanes) -> None:
    """Then all places are free again, and old failures count no more."""
    opened(lanes)
    lanes.end(*"bcdefgh")
    clock.advance(30)
    assert lanes.delivered(lanes.one()).closed
    taken = lanes.take()
    assert len(taken) == 4
    assert lanes.again(taken[0], 600).opened_seconds is None
    assert lanes.again(taken[1], 600).failures == 2


def test_failure_of_an_attempt_from_before_opens_nothing_again(clock: StoredClock, lanes: Lanes) -> None:
    """It says nothing about the time after the opening."""
    lanes.end("b", "c", "d")
    taken = lanes.take()
    for _ in range(9):
        lanes.again(taken.pop(), 0.0)
        taken += lanes.take()
    assert lanes.again(taken.pop(), 0.0).opened_seconds == 30
    assert lanes.again(taken.pop(), 0.0).opened_seconds is None


def test_most_attempts_failing_open_the_breaker(clock: StoredClock, lanes: Lanes) -> None:
    """Seven of ten within five minutes, although none follow each other ten times."""
    lanes.end(*"bcdefgh")
    for failed in (False, True, True, False, True, True, False, True, True):
        delivery = lanes.next()
        effect = lanes.again(delivery, 0.0) if failed else lanes.delivered(delivery)
        assert effect.opened_seconds is None
        clock.advance(20)
    assert lanes.again(lanes.next(), 0.0).opened_seconds == 30


def test_failures_of_more_than_five_minutes_ago_do_not_count(clock: StoredClock, lanes: Lanes) -> None:
    """Nine bad ones, a pause, a good one: the next failure is one of two."""
    lanes.fail(9)
    lanes.end("b")
    clock.advance(360)
    taken = {delivery.job_id: delivery for delivery in lanes.take()}
    lanes.delivered(taken["b"])
    assert lanes.again(taken["a"], 0.0).opened_seconds is None


def test_slow_endpoint_is_left_alone_as_it_asks(clock: StoredClock, lanes: Lanes) -> None:
    """Everything that waits for it waits, and afterwards one goes at a time until one gets through."""
    lanes.end(*"bcdef")
    taken = lanes.take()
    lanes.again(taken[0], 0.0, Health.SLOW, slow_seconds=90.0)
    for delivery in taken[1:]:
        lanes.returned(delivery)
    clock.advance(89.9)
    assert lanes.take() == []
    clock.advance(0.1)
    lanes.delivered(lanes.one())
    assert len(lanes.take()) == 4


def test_slow_endpoint_without_a_wish_is_left_alone_longer_each_time(
    clock: StoredClock, lanes: Lanes
) -> None:
    """From a second to a minute."""
    pauses = []
    for _ in range(8):
        lanes.again(lanes.one(), 0.0, Health.SLOW)
        lanes.take()
        pauses.append(round(lanes.store.due_seconds))
        clock.advance(lanes.store.due_seconds)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("reason", ["gone", "asked"])
def test_endpoint_that_asks_is_disabled(clock: StoredClock, lanes: Lanes, reason: str) -> None:
    """Nothing more goes there; what waits and what comes is kept; the results queue is told."""
    effect = lanes.again(lanes.one(), 5.0, disable=reason)
    assert effect.disabled == reason
    lanes.end("b")
    clock.advance(DAY)
    assert lanes.take() == []
    assert lanes.pending() == 2
    (event,) = lanes.told()
    assert event["type"] == "endpoint.disabled" and event["id"].startswith("evt_")
    assert event["data"] == {"account": "acme", "endpoint": "one", "reason": reason, "failures": 1}


def test_what_waits_for_a_disabled_endpoint_is_kept_for_a_week(clock: StoredClock, lanes: Lanes) -> None:
    """Then it is given up, with the reason on record; what came later is kept on."""
    lanes.again(lanes.one(), 5.0, disable="gone")
    clock.advance(3 * DAY)
    lanes.end("later")
    clock.advance(4 * DAY - 60)
    lanes.take()
    assert lanes.pending() == 2
    clock.advance(60)
    lanes.take()
    assert lanes.about("a") == ["1", "given_up", "1", "disabled"]
    assert lanes.about("later") == ["2", "waiting", "0", "-"]
    clock.advance(3 * DAY + 3600)
    lanes.take()
    assert lanes.about("later") == ["2", "given_up", "0", "disabled"]
    assert lanes.pending() == 0


def test_five_days_of_nothing_but_failures_disable(clock: StoredClock, lanes: Lanes) -> None:
    """The first failure of a row and the last are five days apart."""
    for _ in range(10):
        assert lanes.again(lanes.one(), 0.0).disabled == ""
        clock.advance(DAY / 2)
    assert lanes.again(lanes.one(), 0.0).disabled == "failing"
    assert lanes.told()[0]["data"]["reason"] == "failing"


@pytest.mark.parametrize("between", ["success", "silence"])
def test_days_with_a_success_or_without_attempts_do_not_disable(
    clock: StoredClock, lanes: Lanes, between: str
) -> None:
    """Two failures that are a week apart, or have a success between them, are no five days of failures."""
    lanes.again(lanes.one(), 0.0)
    clock.advance(3 * DAY if between == "success" else 6 * DAY)
    if between == "success":
        lanes.end("b")
        taken = {delivery.job_id: delivery for delivery in lanes.take()}
        lanes.delivered(taken["b"])
        lanes.returned(taken["a"])
        clock.advance(3 * DAY)
    assert lanes.again(lanes.one(), 0.0).disabled == ""


def test_failures_in_a_row_are_warned_of(lanes: Lanes) -> None:
    """At 50, 70 and 90 of 100."""
    warned = []
    for _ in range(95):
        effect = lanes.again(lanes.next(), 0.0)
        warned += [effect.failures] * effect.warned
    assert warned == [50, 70, 90]
    failing = [event["data"]["failures"] for event in lanes.told() if event["type"] == "endpoint.failing"]
    assert failing == [50, 70, 90]


def test_other_endpoint_is_not_touched(clock: StoredClock, lanes: Lanes) -> None:
    """A breaker is that of one endpoint."""
    opened(lanes)
    lanes.end("b", hooks=HOOKS[1:])
    assert lanes.names() == ["b"]


def test_last_attempts_are_kept(client: redis.Redis, lanes: Lanes) -> None:
    """Twenty, newest first."""
    lanes.fail(9)
    lanes.delivered(lanes.one())
    newest = client.lindex(SHARD + "hook-tries:acme|one", 0)
    assert newest is not None and b'"status": 200' in newest and b'"body": "thanks"' in newest
    for n in range(15):
        lanes.end(f"job-{n}")
        lanes.delivered(lanes.one())
    assert client.llen(SHARD + "hook-tries:acme|one") == 20
