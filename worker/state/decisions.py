"""Turns what workers decided about jobs in hand into calls of the scripts `settle` and `park`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.events import Event, Status
from worker.core.records import Decision, Ending, Parking
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.units import to_us

FIRST_PROBE_US, LAST_PROBE_US = 5_000_000, 60_000_000
"""The first and the longest pause before a held account is probed; the pause doubles with each probe that fails."""

_ANSWERED = (Status.PLACED, Status.FAILED)
"""Statuses of a probe that show that the provider takes the account's requests again."""


class Retention(NamedTuple):
    """For how many milliseconds after its end a job is remembered, and its delivered event may be sent again."""

    remembered_ms: int
    replayed_ms: int

    @classmethod
    def of(cls, retention_seconds: int, replay_seconds: int | None) -> Self:
        """Make it from the settings: nothing is replayed for longer than it is remembered."""
        replayed = min(replay_seconds or retention_seconds, retention_seconds)
        return cls(retention_seconds * 1000, replayed * 1000)


def calls(decisions: Sequence[Decision], kept: Retention) -> list[tuple[ScriptCall, list[int]]]:
    """Return the script calls, each with the places of its jobs among the decisions. All jobs that end on a shard share
    one call."""
    return [*_endings(decisions, kept), *_parkings(decisions)]


def endpoints(account: Account | None, event: Event) -> str:
    """Return the keys of the account's endpoints that want the event, separated by spaces, as the scripts take them."""
    return " ".join(endpoint.key for endpoint in account.endpoints_for(event.type)) if account else ""


def declarations(account: Account, generation: int) -> Iterator[ScriptCall]:
    """Return the script calls that set the limits of an account and of its endpoints."""
    shard = keys.prefix_of(account.name)
    yield ScriptCall("declare", shard, (account.name, account.pace.packed(), generation))
    if account.webhooks:
        hooks = ((f"{account.name}|{hook.key}", hook.pace.packed()) for hook in account.webhooks)
        yield ScriptCall("declare_endpoint", shard, (generation, *(word for hook in hooks for word in hook)))


def _endings(decisions: Sequence[Decision], kept: Retention) -> Iterator[tuple[ScriptCall, list[int]]]:
    places: dict[str, list[int]] = {}
    args: dict[str, list[str | bytes | float]] = {}
    for place, decision in enumerate(decisions):
        if isinstance(decision, Ending):
            shard = keys.prefix_of(decision.lease.job.account)
            places.setdefault(shard, []).append(place)
            args.setdefault(shard, [*kept]).extend(_ending(decision))
    for shard, found in places.items():
        yield ScriptCall("settle", shard, args[shard]), found


def _parkings(decisions: Sequence[Decision]) -> Iterator[tuple[ScriptCall, list[int]]]:
    for place, decision in enumerate(decisions):
        if isinstance(decision, Parking):
            yield _parking(decision), [place]


def _ending(decision: Ending) -> tuple[str | int, ...]:
    """Return the arguments of settle.lua for one job."""
    lease, event = decision.lease, decision.event
    answered = int(lease.probe and event.status in _ANSWERED)
    return (lease.job.id, lease.fence, lease.job.account, event.status, event.body,
            endpoints(decision.account, event), decision.tally.perhaps_rung, answered,
            repeats.digest(lease.job.id, lease.job.account, repeats.content(lease.job)), event.id,
            decision.trace)  # fmt: skip


def _parking(decision: Parking) -> ScriptCall:
    lease, tally, name = decision.lease, decision.tally, decision.lease.job.account
    return ScriptCall("park", keys.prefix_of(name), (
        lease.job.id, lease.fence, name, to_us(decision.wait_seconds), decision.reason,
        tally.sent, tally.not_rung, tally.perhaps_rung, decision.detail,
        decision.hold_code, FIRST_PROBE_US, LAST_PROBE_US,
    ))  # fmt: skip
