"""How long property tests look for a counterexample: short by hand, longer in CI, longest at night."""

from __future__ import annotations

import os

IN_CI, AT_HAND = 5, 1
DEPTH = int(
    os.environ.get("CALLWORKER_TEST_DEPTH")
    or (IN_CI if os.environ.get("CALLWORKER_REQUIRE_SERVERS") == "1" else AT_HAND)
)
"""How many times as long as by hand; `make deep` sets it through CALLWORKER_TEST_DEPTH."""


def examples(by_hand: int) -> int:
    """The number of examples to try where `by_hand` of them are enough at a developer's desk."""
    return by_hand * DEPTH
