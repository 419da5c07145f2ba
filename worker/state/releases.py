"""Gives leases of jobs that are on record: those whose slots have come, and those that nobody else ends.

The shards of a server are asked by one call. Each server gets a share of what there is room for.
"""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from worker.core.records import Lease, Released
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.installation import Installation
from worker.state.leases import LeaseReplies, Span
from worker.state.units import to_seconds

AHEAD_US = 20_000
"""How far ahead of its slot a job may be leased: the time it takes to get from Redis to the dialling thread."""

RECLAIM_LEASE_US = 15_000_000
"""How long a lease of `reclaim` lasts. Such a job only has to be decided, not dialled."""


class Timed:
    """Runs scripts that lease, and tells when. `clock` is the process's monotonic clock (s). Thread-safe."""

    def __init__(
        self, scripts: Scripts, installation: Installation, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.scripts, self._installation, self._clock = scripts, installation, clock

    def run_parts(self, calls: Sequence[ScriptCall]) -> tuple[list[Any], Span]:
        """Run `calls`, see `Scripts.run_parts`; return the replies, and when the round trip began and ended.

        Before the first lease it learns the installation: the end of a job must not have to wait for that.
        """
        self._installation.id()
        sent = self._clock()
        replies = self.scripts.run_parts(calls)
        return replies, (sent, self._clock())


class Releases:
    """For the threads that lease: one calls `lease_due`, any `reclaim`."""

    def __init__(self, timed: Timed, replies: LeaseReplies, lease_us: int) -> None:
        self._timed, self._replies, self._lease_us = timed, replies, lease_us
        self._turns = itertools.count()
        self._unanswered: list[tuple[str, list[str]]] = []
        """The names of the requests whose replies were lost, each with the shards that it was for."""

    def lease_due(self, most: int) -> Released:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time.

        If a reply is lost, the next call first asks for the leases that it contained.
        """
        leases = self._regain()
        name = secrets.token_hex(8)
        unanswered = {shard for _, shards in self._unanswered for shard in shards}
        shards = [shard for shard in keys.prefixes(next(self._turns)) if shard not in unanswered]
        groups = self._timed.scripts.groups(shards) if shards else []
        calls = [
            ScriptCall("lease", some, (share, self._lease_us, AHEAD_US, name))
            for some, share in zip(groups, shares(max(most - len(leases), 0), len(groups)), strict=True)
        ]
        try:
            replies, span = self._timed.run_parts(calls)
        except StoreUnavailable:
            self._unanswered += [(name, some) for some in groups]
            if not leases:
                raise
            return Released(leases, 0.0)
        wait_seconds = math.inf
        for some, reply in zip(groups, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                self._unanswered.append((name, some))
                continue
            now_us, due_us, *rows = reply
            self._replies.learn(span, int(now_us), some[0])
            leases += self._replies.leases(rows, span, self._lease_us)
            wait_seconds = min(wait_seconds, _wait_seconds(int(now_us), int(due_us)))
        return Released(leases, wait_seconds)

    def reclaim(self, most: int) -> list[Lease]:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time."""
        groups = self._timed.scripts.groups(keys.prefixes(next(self._turns)))
        replies, span = self._timed.run_parts([
            ScriptCall("reclaim", some, (share, RECLAIM_LEASE_US, self._lease_us))
            for some, share in zip(groups, shares(most, len(groups)), strict=True)
        ])  # fmt: skip
        rows = [row for reply in replies if not isinstance(reply, StoreUnavailable) for row in reply]
        return self._replies.leases(rows, span, RECLAIM_LEASE_US)

    def _regain(self) -> list[Lease]:
        """Ask for the leases whose replies were lost. No other worker knows of them, and nothing was sent."""
        leases: list[Lease] = []
        for name, shards in list(self._unanswered):
            groups = self._timed.scripts.groups(shards)
            try:
                replies, span = self._timed.run_parts(
                    [ScriptCall("regain", some, (name,)) for some in groups]
                )
            except StoreUnavailable:
                if not leases:
                    raise
                break
            self._unanswered.remove((name, shards))
            for some, reply in zip(groups, replies, strict=True):
                if isinstance(reply, StoreUnavailable):
                    self._unanswered.append((name, some))
                else:
                    leases += self._replies.leases(reply, span, self._lease_us)
        return leases


def shares(most: int, parts: int) -> list[int]:
    """Divide a number as equally as possible; the first parts get the rest."""
    return [most // parts + (n < most % parts) for n in range(parts)]


def _wait_seconds(now_us: int, due_us: int) -> float:
    """Return when to ask again for due jobs; infinite if no account is due (`due_us` is 0).

    The moment is in the middle of `AHEAD_US`, so that one request gets the slots of several milliseconds and none is
    asked for too late.
    """
    return to_seconds(max(due_us - now_us - AHEAD_US // 2, 0)) if due_us else math.inf
