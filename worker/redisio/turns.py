"""Notices that a store went back in time, by the number of changes to each of its shards. See docs/decisions/0030."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from worker.errors import StoreSetBack


class Turns:
    """The number of the newest change to each shard that this process has seen. Thread-safe.

    A script that changes a shard counts it and replies the number. A number that is not above one that was known before
    the script was sent shows that the shard has lost changes. From then on the shard is left alone, as if it could not
    be reached, until `go_on`.
    """

    def __init__(self, noticed: Callable[[str, int, int], None]) -> None:
        """`noticed` is called with a shard's prefix, its last known turn and the turn that it went back to.

        It is called once each time, by any thread, and must not raise.
        """
        self._noticed, self._lock = noticed, threading.Lock()
        self.known: Mapping[str, int] = {}
        """By prefix. It is replaced, never changed."""
        self.left_alone: frozenset[str] = frozenset()

    def refusal(self, prefixes: str | Sequence[str]) -> StoreSetBack | None:
        """Return the error of a call of these shards, none of which may be changed while one is left alone."""
        left_alone = self.left_alone
        if not left_alone:
            return None
        first, *others = (prefixes,) if isinstance(prefixes, str) else prefixes
        return next((StoreSetBack(prefix) for prefix in (first, *others) if prefix in left_alone), None)

    def learn(self, before: Mapping[str, int], told: Sequence[Any]) -> StoreSetBack | None:
        """Read the turns beside a script's reply: prefix and number in turn; the number as text if it was only read.

        `before` is `known` as it was when the script was sent. Returns an error if a shard lost what was known.
        """
        found = {prefix.decode(): _before_and_after(number) for prefix, number in _pairs(told)}
        with self._lock:
            self.known = {
                **self.known,
                **{prefix: max(after, self.known.get(prefix, 0)) for prefix, (_, after) in found.items()},
            }
        lost = [prefix for prefix, (earlier, _) in found.items() if earlier < before.get(prefix, 0)]
        for prefix in lost:
            self._leave_alone(prefix, found[prefix][0])
        return StoreSetBack(lost[0]) if lost else None

    def _leave_alone(self, prefix: str, found: int) -> None:
        with self._lock:
            if prefix in self.left_alone:
                return
            self.left_alone |= {prefix}
            known = self.known[prefix]
        self._noticed(prefix, known, found)

    def go_on(self, prefix: str, turn: int) -> None:
        """Use a shard again whose newest change has the number `turn`."""
        with self._lock:
            self.known = {**self.known, prefix: turn}
            self.left_alone -= {prefix}


def _pairs(told: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(told[::2], told[1::2], strict=True)


def _before_and_after(number: int | bytes) -> tuple[int, int]:
    """Return the turn before a script and the one after it, which are the same if it only read."""
    return (number - 1, number) if isinstance(number, int) else (int(number), int(number))
