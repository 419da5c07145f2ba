"""The lookout: it wakes the loops for which there is something, and no other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import pytest

from tests.doubles.clocks import FakeClock
from worker.core.sight import Sight
from worker.engine.lookout import LOOK_SECONDS, OLD_SECONDS, QUIET_SECONDS, Lookout
from worker.errors import StoreUnavailable

NOTHING = Sight(inf, inf, inf, events=False)


class Post:
    """A lookout that sees what a test says, and the loops that it has woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.sees: Sight | None = NOTHING
        self.clock = FakeClock()
        self.meanwhile: Callable[[], object] = bool
        self.lookout = Lookout(
            self._look,
            releaser=partial(self.woken.append, "releaser"),
            sweeper=partial(self.woken.append, "sweeper"),
            couriers=partial(self.woken.append, "couriers"),
            clock=self.clock,
        )

    def _look(self) -> Sight:
        self.meanwhile()
        if self.sees is None:
            raise StoreUnavailable("away")
        return self.sees

    def turn(self, sees: Sight) -> list[str]:
        self.woken.clear()
        self.sees = sees
        assert self.lookout.turn() == (QUIET_SECONDS if sees == NOTHING else LOOK_SECONDS)
        return self.woken


@pytest.fixture
def post() -> Post:
    return Post()


def test_nothing_wakes_nobody(post: Post) -> None:
    """Loops rest while the store has nothing, or nothing that is due before the next look."""
    assert post.turn(NOTHING) == []
    assert post.turn(Sight(0.3, 0.1, 0.3, events=True)) == []


def test_what_is_due_before_the_next_look_wakes_its_loop(post: Post) -> None:
    """Releaser and couriers know the moment then; the sweeper, which asks for what is overdue, does not."""
    assert post.turn(NOTHING._replace(lanes=0.2)) == ["releaser"]
    assert post.turn(NOTHING._replace(deliveries=0.2)) == ["couriers"]
    assert post.turn(NOTHING._replace(overdue=0.0)) == ["sweeper"]


def test_events_may_wait_unless_a_look_found_none(post: Post) -> None:
    """Before the first look, after one that failed, and once the last is old, there may be events."""
    found = [post.lookout.events]
    post.turn(NOTHING)
    found.append(post.lookout.events)
    post.clock.advance(OLD_SECONDS + 0.1)
    found.append(post.lookout.events)
    post.turn(NOTHING)
    post.sees = None
    with pytest.raises(StoreUnavailable):
        post.lookout.turn()
    assert [*found, post.lookout.events] == [True, False, True, True]


def test_an_event_of_this_worker_outdates_the_look(post: Post) -> None:
    """Also if it was put on record while the look was under way, which may not have seen it."""
    post.turn(NOTHING)
    post.lookout.recorded()
    found = [post.lookout.events]
    for meanwhile in (post.lookout.recorded, bool):
        post.meanwhile = meanwhile
        post.turn(NOTHING)
        found.append(post.lookout.events)
    assert found == [True, True, False]
