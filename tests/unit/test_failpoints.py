"""Failpoints: idle unless armed, each fires once, and what is ordered wrongly is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from worker.errors import ConfigurationError
from worker.failpoints import POINTS, FailpointReached, hit, is_armed


def test_nothing_happens_unless_armed() -> None:
    """Every place can be passed."""
    for point in POINTS:
        hit(point)
        assert not is_armed(point)


def test_a_failpoint_fires_at_its_pass_and_once(armed: Callable[[str], None]) -> None:
    """Other places do nothing."""
    armed("settle.before=raise@2")
    hit("settle.before")
    hit("settle.after")
    with pytest.raises(FailpointReached):
        hit("settle.before")
    hit("settle.before")
    assert is_armed("settle.before") and not is_armed("settle.after")


@pytest.mark.parametrize(
    "order", ["settle=kill", "settle.before", "nowhere.before=kill", "park.after=stop", "x"]
)
def test_an_order_that_is_not_understood_is_refused(armed: Callable[[str], None], order: str) -> None:
    """A fault that is never put in would prove nothing."""
    with pytest.raises(ConfigurationError, match="CALLWORKER_FAILPOINTS"):
        armed(f"relay.before=raise {order}")
