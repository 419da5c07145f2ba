"""The rate limit's arithmetic: what a schedule promises, over any rate, burst, arrivals and lateness."""

from __future__ import annotations

import bisect
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import depth
from worker.core.limits import EASES, Pace, grant, open_slots, parse_rate, possible

START_US = 1_800_000_000_000_000
AHEAD_US = 20_000
PERIODS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
FASTEST_PER_SECOND = 5000
"""Up to here whole microseconds between slots are fine enough to use 99 % of the rate."""


@dataclass(frozen=True)
class Limit:
    """A limit as the accounts file gives it."""

    rate: int
    period_us: int
    burst: int

    @property
    def pace(self) -> Pace:
        return Pace.of(self.rate, self.period_us, self.burst, concurrency=1)

    @property
    def most(self) -> int:
        return self.rate + self.burst


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    period_us = draw(st.sampled_from(sorted(PERIODS_US.values())))
    fastest = min(FASTEST_PER_SECOND * period_us // 1_000_000, 999_999)
    rate = draw(st.one_of(st.integers(1, 12), st.integers(1, 300), st.integers(1, fastest)))
    return Limit(rate, period_us, draw(st.integers(1, 60)))


def fullest_window(moments: list[int], length_us: int) -> int:
    """The most of the sorted `moments` that lie in one window of this length, both ends included."""
    return max(
        (bisect.bisect_right(moments, begin + length_us) - n for n, begin in enumerate(moments)), default=0
    )


def fullest_window_of_sends(sends: list[tuple[int, int]], length_us: int) -> int:
    """The most requests in a window that begins with the latest moment of one of them, if an adversary chooses each
    one's moment between its slot and the end of its validity."""
    return max(
        sum(opens <= begin + length_us and closes >= begin for opens, closes in sends) for _, begin in sends
    )


class TestWindows:
    """No window of a period sees more than rate + burst, however late each request leaves."""

    @settings(max_examples=depth.examples(80), deadline=None)
    @given(limit=limits(), data=st.data())
    def test_no_arrivals_and_no_lateness_break_the_limit(self, limit: Limit, data: st.DataObject) -> None:
        """Whatever is asked and when, the slots that a window's requests can come from are at most rate + burst.

        A request leaves up to `valid` after its slot, so the requests of a window of one period come from the slots of
        a window that begins `valid` earlier: the adversary delays the early ones and sends the last ones at once.
        """
        pace, now, tat = limit.pace, START_US, 0
        unit = pace.interval_us
        steps = data.draw(
            st.lists(
                st.tuples(st.sampled_from((0, 0, 1, 2, 3, 5, 8, 13, 40, 300)), st.integers(0, 12)),
                min_size=1,
                max_size=60,
            )
        )
        slots: list[int] = []
        for eighths, asked in steps:
            now += eighths * unit // 8
            for _ in range(asked * max(limit.burst // 4, 1)):
                answer = grant(tat, now, now, AHEAD_US, pace)
                if isinstance(answer, int):
                    break
                slots.append(answer[0])
                tat = answer[1]
        assert slots == sorted(slots)
        assert fullest_window(slots, limit.period_us + pace.valid_us) <= limit.most

    @settings(max_examples=depth.examples(30), deadline=None)
    @given(limit=limits(), late=st.floats(0, 3), seed=st.integers(0, 2**32))
    def test_a_flood_does_not_break_the_limit(self, limit: Limit, late: float, seed: int) -> None:
        """Asked as soon as the schedule allows, or later by more than it can catch up, it stays at rate + burst."""
        chance = random.Random(seed)
        pace, now, tat, slots = limit.pace, START_US, 0, list[int]()
        while len(slots) < min(3 * limit.most, 2000):
            answer = grant(tat, now, now, AHEAD_US, pace)
            if isinstance(answer, int):
                now = answer - AHEAD_US + int(late * chance.random() * pace.catch_up_us)
            else:
                slots.append(answer[0])
                tat = answer[1]
        assert fullest_window(slots, limit.period_us + pace.valid_us) <= limit.most

    @given(limit=limits())
    def test_the_bound_is_reached_by_no_more_than_the_late_may_use(self, limit: Limit) -> None:
        """The arithmetic of the module's docstring: with the longest delay the window still has room."""
        pace = limit.pace
        assert (limit.period_us + pace.valid_us) // pace.interval_us + limit.burst <= limit.most
        assert 0 < pace.catch_up_us < pace.valid_us <= 2_000_000


class TestEase:
    """An overloaded fleet gives up a part of the rate rather than most of it."""

    @settings(max_examples=depth.examples(60), deadline=None)
    @given(limit=limits(), seed=st.integers(0, 2**32))
    def test_wider_slots_keep_the_limit(self, limit: Limit, seed: int) -> None:
        """Through any changes between the steps no window holds more, each request being sent when it hurts most."""
        chance = random.Random(seed)
        paces = [limit.pace.eased(step) for step in range(len(EASES))]
        now, tat, step, sends = START_US, 0, 0, list[tuple[int, int]]()
        while len(sends) < min(3 * limit.most, 1500):
            wanted = chance.choice((step, step, step, step, min(step + 1, 2), 0))
            if wanted < step:
                tat += paces[step].valid_us
            step = wanted
            answer = grant(tat, now, now, AHEAD_US, paces[step])
            if isinstance(answer, int):
                now = max(answer - AHEAD_US, now) + chance.choice((0, 0, 0, limit.period_us // 50))
            else:
                sends.append((answer[0], answer[0] + paces[step].valid_us))
                tat = answer[1]
        assert fullest_window_of_sends(sends, limit.period_us) <= limit.most

    @given(limit=limits())
    def test_each_step_makes_slots_longer_and_fewer(self, limit: Limit) -> None:
        """The first step changes nothing; the validity stays within its bound."""
        paces = [limit.pace.eased(step) for step in range(len(EASES))]
        assert paces[0] == limit.pace
        assert [pace.interval_us for pace in paces] == sorted({pace.interval_us for pace in paces})
        assert [pace.valid_us for pace in paces] == sorted(pace.valid_us for pace in paces)
        assert paces[-1].valid_us <= 2_000_000


class TestUse:
    """The use of the rate at saturation."""

    @settings(max_examples=depth.examples(30), deadline=None)
    @given(limit=limits(), seed=st.integers(0, 2**32))
    def test_a_prompt_sender_uses_99_percent(self, limit: Limit, seed: int) -> None:
        """A worker that asks no later than the schedule can catch up gets at least 99 % of the rate."""
        chance = random.Random(seed)
        pace, now, tat, given_slots = limit.pace, START_US, 0, 0
        wanted = 2000
        ends = START_US + wanted * limit.period_us // limit.rate
        while now < ends:
            answer = grant(tat, now, START_US, AHEAD_US, pace)
            if isinstance(answer, int):
                late_us = int(chance.random() * pace.catch_up_us)
                now = max(now, answer - AHEAD_US) + late_us
            else:
                given_slots, tat = given_slots + 1, answer[1]
        still_to_catch_up = pace.catch_up_us / pace.interval_us + 1
        assert given_slots >= 0.99 * wanted - still_to_catch_up

    @given(rate=st.integers(1, FASTEST_PER_SECOND), burst=st.integers(1, 100))
    def test_a_burst_is_had_at_once_after_a_rest(self, rate: int, burst: int) -> None:
        """An account that rested may send `burst` requests at one moment, and not one more ahead of its schedule."""
        pace, tat, slots = Pace.of(rate, 1_000_000, burst, 1), 0, list[int]()
        while not isinstance(answer := grant(tat, START_US, START_US, 0, pace), int):
            slots.append(answer[0])
            tat = answer[1]
        # A schedule that may catch up gives the first slot a little in the past.
        caught_up = pace.catch_up_us // pace.interval_us
        assert burst <= len(slots) <= burst + caught_up + 1


class TestGrant:
    """One slot at a time."""

    PACE = Pace.of(1, 1_000_000, 1, 1)

    def test_a_slot_too_far_ahead_is_only_named(self) -> None:
        """If the slot comes later than `ahead` allows, its moment is the answer, and nothing is taken."""
        _, tat = granted(grant(0, START_US, START_US, AHEAD_US, self.PACE))
        assert grant(tat, START_US, START_US, AHEAD_US, self.PACE) == START_US + self.PACE.interval_us

    def test_no_slot_opens_before_the_job_is_ready(self) -> None:
        """A job that is ready a little later gets a slot that opens then."""
        slot, _ = granted(grant(0, START_US, START_US + 5000, AHEAD_US, self.PACE))
        assert slot == START_US + 5000
        later = START_US + AHEAD_US + 1
        assert grant(0, START_US, later, AHEAD_US, self.PACE) == later

    def test_a_late_schedule_catches_up_a_little(self) -> None:
        """A worker that asks late loses no slot, as long as it is not later than `catch_up`."""
        due = START_US + self.PACE.interval_us
        _, tat = granted(grant(0, START_US, START_US, AHEAD_US, self.PACE))
        late = due + self.PACE.catch_up_us // 2
        assert granted(grant(tat, late, START_US, AHEAD_US, self.PACE)) == (due, due + self.PACE.interval_us)

    def test_a_schedule_from_the_future_is_cut(self) -> None:
        """A clock that was set back an hour stops an account for seconds, not for an hour."""
        tat = START_US + 3_600_000_000
        cut = possible(tat, START_US, self.PACE)
        assert cut - START_US <= 3_000_000
        granted(grant(cut, cut, cut, AHEAD_US, self.PACE))

    @given(limit=limits(), asked=st.integers(1, 200))
    def test_no_schedule_that_was_given_is_cut(self, limit: Limit, asked: int) -> None:
        """A schedule that `grant` wrote counts as possible, at the same moment and later."""
        tat = 0
        for _ in range(asked):
            answer = grant(tat, START_US, START_US, AHEAD_US, limit.pace)
            tat = tat if isinstance(answer, int) else answer[1]
            assert possible(tat, START_US, limit.pace) == tat


class TestRates:
    """The notation of rates."""

    @pytest.mark.parametrize(
        ("text", "meaning"),
        [
            ("5/s", (5, 1_000_000)),
            ("60/m", (60, 60_000_000)),
            ("1/h", (1, 3_600_000_000)),
            ("999999/s", (999_999, 1_000_000)),
        ],
    )
    def test_a_rate_is_a_number_and_a_period(self, text: str, meaning: tuple[int, int]) -> None:
        """It is read as a number of requests, and a period in microseconds."""
        assert parse_rate(text) == meaning

    @pytest.mark.parametrize(
        "text", ["", "5", "0/s", "-1/s", "5/d", "5 /s", "1.5/s", "05/s", "1000000/s", "5/s\n", "\u0665/s"]
    )
    def test_anything_else_is_refused_with_the_rule(self, text: str) -> None:
        """The error shows how a rate looks."""
        with pytest.raises(ValueError, match="60/m"):
            parse_rate(text)

    def test_a_pace_is_packed_as_the_scripts_read_it(self) -> None:
        """Interval, tolerance, valid, catch-up, concurrency, period: whole numbers with a space between."""
        pace = Pace.of(10, 1_000_000, 3, 7)
        assert pace.packed() == f"100600 201200 {pace.valid_us} {pace.catch_up_us} 7 1000000"
        assert Pace.unpacked(pace.packed()) == pace

    def test_an_earlier_versions_pace_is_read(self) -> None:
        """During a deploy both forms lie in Redis."""
        assert Pace.unpacked("100500 201000 3000 1000 7") == Pace(100500, 201000, 3000, 1000, 7)


def granted(answer: tuple[int, int] | int) -> tuple[int, int]:
    assert not isinstance(answer, int)
    return answer


@settings(max_examples=depth.examples(200), deadline=None)
@given(limit=limits(), behind_us=st.integers(-100_000_000, 100_000_000))
def test_open_slots_are_those_that_grant_gives_at_once(limit: Limit, behind_us: int) -> None:
    """Jobs that are ready for long get as many slots at one moment as were counted, wherever the schedule is."""
    tat, given_now = START_US - behind_us, 0
    counted = open_slots(tat, START_US, limit.pace)
    while not isinstance(answer := grant(tat, START_US, 0, 0, limit.pace), int):
        tat, given_now = answer[1], given_now + 1
    assert counted == given_now
