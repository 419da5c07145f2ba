"""The workers as they tell of themselves in the store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LIVES_SECONDS = 10.0
"""A worker that was heard within this time lives. It reports every 3 s at least."""

LOST_SECONDS = 15.0
"""A worker that has been silent for longer, and did not say that it stops, was lost."""

KEPT_SECONDS = 3600.0
"""How long a lost worker is remembered."""


@dataclass(frozen=True, slots=True)
class Drain:
    """An operator's wish that no worker takes jobs in or dials; `since_ms` is Redis' own time (Unix ms).

    Each has an id of its own, by which workers tell that they have nothing in hand any more.
    """

    id: str
    reason: str = ""
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells of itself: its places for calls and how many of them are taken, whether it dials nothing
    (`paused`), its machine and version, the digest of the accounts file that it uses, why it does not use the file that
    it has now (`refuses`), if it does not, and the id of the drain for which it has nothing in hand (`drained`)."""

    places: int
    used: int
    paused: bool
    host: str
    version: str
    accounts: str
    refuses: str = ""
    drained: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """The last report of a worker, and how long ago that was."""

    report: Report
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers that live, and those that fell silent without having stopped."""

    living: Sequence[Report] = ()
    lost: Sequence[Report] = ()

    @property
    def paused(self) -> bool:
        """Whether workers live, and all of them dial nothing."""
        return bool(self.living) and all(one.paused for one in self.living)

    @classmethod
    def of(cls, workers: Sequence[Heard]) -> Fleet:
        """Tell living workers from lost ones. One that has been silent for 10 to 15 s counts as neither yet."""
        living = [one.report for one in workers if one.silent_seconds <= LIVES_SECONDS]
        lost = [one.report for one in workers if LOST_SECONDS < one.silent_seconds <= KEPT_SECONDS]
        return cls(living, lost)


def wanted(calls: int, places: int) -> int:
    """Return how many workers of `places` each hold that many calls; at least one."""
    return max(math.ceil(calls / places), 1)
