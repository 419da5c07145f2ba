"""Who gets the places for webhook deliveries when they are scarce."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.deliveries import delivery
from worker.delivery.ports import Conclusion, Delivery, Health, Verdict
from worker.engine.places import Places


def to(*keys: str) -> list[Delivery]:
    return [delivery(number, key) for number, key in enumerate(keys)]


def ended(one: Delivery, health: Health = Health.BAD) -> Conclusion:
    return Conclusion(one, Verdict.AGAIN, "500", health)


def holding(count: int, *keys: str) -> Places:
    places = Places(count)
    places.take(to(*keys))
    return places


def test_half_of_the_places_are_for_any_endpoint_that_is_due() -> None:
    """An endpoint may have as many of these as its limits allow."""
    assert holding(8, "a", "a", "b").offer() == (1, set())
    assert holding(8).offer() == (4, set())


def test_endpoint_with_a_place_gets_no_other_when_they_are_scarce() -> None:
    """The second half of the places is for endpoints that have none, and no endpoint gets many of these at once."""
    count, barred = holding(64, *["a"] * 30, *["b"] * 3).offer()
    assert (count, {where.endpoint_key for where in barred}) == (4, {"a", "b"})


def test_endpoint_that_has_just_failed_gets_no_place_when_few_are_left() -> None:
    """The last quarter is for endpoints that are not known to hang. One that takes an event again is one of these."""
    places = holding(8, *"abcdefg")
    bad, good = to("bad", "good")
    places.take([bad, good])
    places.give_back([ended(bad, Health.SLOW), ended(good)])
    assert {where.endpoint_key for where in places.offer()[1]} == {*"abcdefg", "bad", "good"}
    places.take([good])
    places.give_back([ended(good, Health.GOOD)])
    assert {where.endpoint_key for where in places.offer()[1]} == {*"abcdefg", "bad"}


def test_attempt_that_reached_nothing_says_nothing_about_its_endpoint() -> None:
    """A delivery that was only returned leaves its endpoint's standing as it was."""
    places = holding(4, *"abc")
    (one,) = to("x")
    places.take([one])
    places.give_back([ended(one, Health.NONE)])
    assert {where.endpoint_key for where in places.offer()[1]} == {*"abc"}


@given(st.integers(4, 300), st.integers(1, 100))
def test_endpoints_that_hang_leave_places_for_others(count: int, concurrency: int) -> None:
    """One endpoint for eight places does not fill a worker, however many requests each may have in flight."""
    places, hanging = Places(count), {f"h{n}": concurrency for n in range((count - 1) // 8)}
    while wanting := next_ones(places, hanging):
        places.take(to(*wanting))
    assert places.offer()[0] > 0


def next_ones(places: Places, hanging: dict[str, int]) -> list[str]:
    """Take turns among the endpoints that want a place and may get one. Counts what they want down."""
    most, barred = places.offer()
    keys = {where.endpoint_key for where in barred}
    able = [key for key, left in hanging.items() for _ in range(left) if key not in keys]
    for key in able[:most]:
        hanging[key] -= 1
    return able[:most]


def test_places_are_free_again_when_their_deliveries_end() -> None:
    """Nothing is remembered of an endpoint that has none left and works."""
    places, some = Places(4), to(*"aab")
    places.take(some)
    places.give_back(ended(one, Health.GOOD) for one in some)
    assert (places.taken, places.offer()) == (0, (2, set()))
