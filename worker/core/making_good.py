"""What is told of shards of the store that went back in time, while they are made good. See docs/decisions/0030."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Over(NamedTuple):
    """How the hold of a shard ended: jobs that were put back, and that count as perhaps rung; whether all was known."""

    put_back: int
    perhaps_rung: int
    all_known: bool
    seconds: float


class Step(NamedTuple):
    """What a step brought: the shards that this worker takes part in from now on, and the holds that are over.

    `soon`: the next step should follow at once.
    """

    begun: int
    over: list[Over]
    soon: bool


class SetBackStore(Protocol):
    """The shards of the store that this worker leaves alone."""

    @property
    def count(self) -> int:
        """How many they are. Asks nobody."""

    def step(self) -> Step:
        """Take part in making them good. Raises StoreUnavailable or WrongKey."""
