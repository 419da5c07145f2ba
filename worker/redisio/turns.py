"""Notices that a store went back in time, by the number of changes to each of its shards. See docs/decisions/0030."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from worker.errors import StoreJustBack, StoreSetBack, StoreUnavailable

JUMP = 1_000_000_000
"""By how much a shard's turns go on after a hold, see rejoin.lua: far more than there are between two looks."""

AWAY_SECONDS, CAREFUL_SECONDS = 5.0, 3.0
"""After so long without contact to a shard, a worker knows little of it; and within how long every living worker has
looked at a shard that is back."""

HELD = b"held"
"""What is in place of a shard's turn while it is held."""

_CLOCK = b"clock"


class Contact(NamedTuple):
    """What the clock of a shard's server showed (µs), and when that was learned (monotonic s)."""

    clock_us: int
    at: float


class Turns:
    """The number of the newest change to each shard that this process has seen. Thread-safe.

    A script that changes a shard counts it and replies the number. A number that is not above one that was known before
    the script was sent shows that the shard has lost changes; one that has made a jump, that this was made good without
    this process. From then on the shard is left alone, as if it could not be reached, until `go_on`. So is one that
    others hold.

    A process that was away may be back before those that know more. So it dials nothing before they have looked.
    """

    def __init__(self, noticed: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`noticed` is called whenever a shard begins to be left alone, by any thread. It must not raise."""
        self._noticed, self._clock, self._lock = noticed, clock, threading.Lock()
        self.known: Mapping[str, int] = {}
        """By prefix. It is replaced, never changed."""
        self.contacts: Mapping[str, Contact] = {}
        """The last contact with each shard before it was left alone. It is replaced, never changed."""
        self.left_alone: frozenset[str] = frozenset()
        self._lost: set[str] = set()
        self._careful_until: Mapping[str, float] = {}

    @property
    def all_in_use(self) -> bool:
        """Whether no shard is left alone, and none is only looked at for now."""
        return not self.left_alone and self._clock() >= max(self._careful_until.values(), default=0.0)

    def caution(self, prefixes: str | Sequence[str]) -> StoreUnavailable | None:
        """Return the error of a call after which jobs of these shards may be dialled; None if it may be made."""
        now = self._clock()
        for prefix in _each(prefixes):
            contact = self.contacts.get(prefix)
            if contact is not None and now - contact.at > AWAY_SECONDS:
                return StoreUnavailable("Redis has not answered for a while, so it is only looked at")
            if now < self._careful_until.get(prefix, 0.0):
                return StoreJustBack(prefix)
        return None

    def refusal(self, prefixes: str | Sequence[str]) -> StoreSetBack | None:
        """Return the error of a call of these shards, none of which may be changed while one is left alone."""
        left_alone = self.left_alone
        if not left_alone:
            return None
        return next((StoreSetBack(prefix) for prefix in _each(prefixes) if prefix in left_alone), None)

    def learn(self, before: Mapping[str, int], told: Sequence[Any]) -> StoreSetBack | None:
        """Read the turns beside a script's reply: prefix and number in turn; the number as text if it was only read;
        and as `clock` what the clock of the shards before it shows (µs).

        `before` is `known` as it was when the script was sent. Returns an error if a shard lost what was known, or is
        held.
        """
        found, contacts = self._read(told)
        wrong = [
            prefix for prefix, turns in found.items() if turns is None or _broken(before, prefix, turns[0])
        ]
        if wrong:
            with self._lock:
                self._lost |= {prefix for prefix in wrong if _is_lost(before, prefix, found[prefix])}
            self.leave_alone(*wrong)
            return StoreSetBack(wrong[0])
        with self._lock:
            self.known = {
                **self.known,
                **{
                    prefix: max(turns[1], self.known.get(prefix, 0))
                    for prefix, turns in found.items()
                    if turns and prefix not in self.left_alone
                },
            }
            self._careful_until = self._careful(contacts)
            self.contacts = {**self.contacts, **contacts}
        return None

    def _careful(self, contacts: Mapping[str, Contact]) -> Mapping[str, float]:
        """Return until when nothing may be dialled, by prefix, after further contacts."""
        before = self.contacts
        back = [
            prefix
            for prefix, contact in contacts.items()
            if prefix in before and contact.at - before[prefix].at > AWAY_SECONDS
        ]
        if not back:
            return self._careful_until
        return {**self._careful_until, **dict.fromkeys(back, self._clock() + CAREFUL_SECONDS)}

    def _read(self, told: Sequence[Any]) -> tuple[dict[str, tuple[int, int] | None], dict[str, Contact]]:
        """Return by prefix the turns before and after the script, and the clock of the shards that told it."""
        found: dict[str, tuple[int, int] | None] = {}
        contacts: dict[str, Contact] = {}
        for name, number in zip(told[::2], told[1::2], strict=True):
            if name == _CLOCK:
                contact = Contact(int(number), self._clock())
                contacts |= {prefix: contact for prefix in found if prefix not in contacts}
            else:
                found[name.decode()] = _before_and_after(number)
        return found, contacts

    def leave_alone(self, *prefixes: str) -> None:
        """Use these shards no more until `go_on`."""
        with self._lock:
            fresh = set(prefixes) - self.left_alone
            self.left_alone |= fresh
        if fresh:
            self._noticed()

    def has_lost(self, prefix: str) -> bool:
        """Tell whether this process has seen that the shard lost changes, not only that others hold it."""
        return prefix in self._lost

    def go_on(self, prefix: str, turn: int) -> None:
        """Use a shard again whose newest change has the number `turn`."""
        with self._lock:
            self._lost.discard(prefix)
            # The last one was before the hold: it must not count as an absence.
            self.contacts = {each: contact for each, contact in self.contacts.items() if each != prefix}
            self.known = {**self.known, prefix: turn}
            self.left_alone -= {prefix}


def _each(prefixes: str | Sequence[str]) -> Sequence[str]:
    return (prefixes,) if isinstance(prefixes, str) else prefixes


def _before_and_after(number: int | bytes) -> tuple[int, int] | None:
    """Return the turn before a script and the one after it, which are the same if it only read; None if it is held."""
    if isinstance(number, int):
        return number - 1, number
    return None if number == HELD else (int(number), int(number))


def _is_lost(before: Mapping[str, int], prefix: str, turns: tuple[int, int] | None) -> bool:
    return turns is not None and turns[0] < before.get(prefix, 0)


def _broken(before: Mapping[str, int], prefix: str, turn: int) -> bool:
    """Return whether `turn` cannot follow what was known: it is smaller, or a hold has ended meanwhile."""
    known = before.get(prefix, 0)
    return turn < known or 0 < known < turn - JUMP // 2
