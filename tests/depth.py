"""The depth of property tests: few examples by hand, more in CI, most at night."""

from __future__ import annotations

import os

IN_CI, AT_HAND = 5, 1
DEPTH = int(
    os.environ.get("CALLWORKER_TEST_DEPTH")
    or (IN_CI if os.environ.get("CALLWORKER_REQUIRE_SERVERS") == "1" else AT_HAND)
)
"""How many times as long as by hand; `make deep` sets it through CALLWORKER_TEST_DEPTH."""


def examples(by_hand: int) -> int:
    """Return the number of examples to try here, given the number for a developer's run."""
    return by_hand * DEPTH
