"""Entries whose part of the store cannot be reached while others can: when each is given again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from itertools import islice

from worker.core.shards import shard_of
from worker.inbound.entry import Entry

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.25, 1.0
MAX_OF_SHARD = 256
"""With more entries of a shard than this, its queue is left to the broker: a flood of one shard must not fill the
worker."""


class PutOff:
    """Such entries, unacknowledged and apart from all others. For one thread, but any may ask for `count` and `full`.

    The entries of an account stay in order: while any is here, those that come later are put behind it. The first of
    each account is given again after 0.25 s, doubled up to 1 s while that fails for all. Once one gets through, the
    others of its account follow at once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: dict[Hashable, dict[int, Entry]] = {}
        self._lane_of: dict[int, Hashable] = {}
        self._open: set[Hashable] = set()
        self._pause_seconds, self._again_at = FIRST_PAUSE_SECONDS, 0.0
        self._of_shard: Counter[int] = Counter()

    def __contains__(self, entry: Entry) -> bool:
        return id(entry) in self._lane_of

    @property
    def count(self) -> int:
        """The number of entries."""
        return len(self._lane_of)

    @property
    def full(self) -> frozenset[int]:
        """The shards of which no further entries should be taken."""
        return frozenset(shard for shard, count in list(self._of_shard.items()) if count > MAX_OF_SHARD)

    @property
    def accounts(self) -> Collection[str]:
        """The accounts whose entries are to come behind those that are here."""
        return {lane for lane in self._lanes if isinstance(lane, str)}

    @property
    def wait_seconds(self) -> float:
        """In how many seconds entries are to be given again; infinite without entries."""
        if not self._lanes:
            return float("inf")
        return 0.0 if self._open else max(self._again_at - self._clock(), 0.0)

    def due(self, most: int, most_bytes: int) -> list[Entry]:
        """Return the entries to give again now: some of those that may follow, and the first of each other account."""
        looks = self._clock() >= self._again_at
        if looks:
            self._again_at = self._clock() + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, MAX_PAUSE_SECONDS)
        found, weight = list[Entry](), 0
        for entry in islice(self._candidates(looks=looks), most):
            if found and weight + entry.weight > most_bytes:
                break
            found.append(entry)
            weight += entry.weight
        return found

    def _candidates(self, *, looks: bool) -> Iterator[Entry]:
        for lane in self._open:
            yield from self._lanes[lane].values()
        if looks:
            yield from (
                next(iter(some.values())) for lane, some in self._lanes.items() if lane not in self._open
            )

    def put(self, entry: Entry, account: str) -> None:
        """Put an entry behind those of `account`, by itself if that is empty; or take note that it has failed again."""
        lane = self._lane_of.get(id(entry))
        if lane is None:
            self._add(entry, account or id(entry))
            return
        self._open.discard(lane)
        # It comes last next time, so that others have their turn.
        self._lanes[lane] = self._lanes.pop(lane)

    def _add(self, entry: Entry, lane: Hashable) -> None:
        if not self._lanes:
            self._pause_seconds = FIRST_PAUSE_SECONDS
            self._again_at = self._clock() + FIRST_PAUSE_SECONDS
        self._lanes.setdefault(lane, {})[id(entry)] = entry
        self._lane_of[id(entry)] = lane
        if isinstance(lane, str):
            self._of_shard[shard_of(lane)] += 1

    def over(self, entry: Entry) -> None:
        """Forget an entry, if it is here: it is on record or buried."""
        lane = self._lane_of.pop(id(entry), None)
        if lane is None:
            return
        del self._lanes[lane][id(entry)]
        if isinstance(lane, str):
            self._of_shard[shard_of(lane)] -= 1
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._again_at = min(self._again_at, self._clock() + FIRST_PAUSE_SECONDS)
        if self._lanes[lane]:
            self._open.add(lane)
        else:
            del self._lanes[lane]
            self._open.discard(lane)
