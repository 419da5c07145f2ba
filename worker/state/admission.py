"""Turns applications into calls of the script `admit`: those of one shard together, in portions of limited size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from worker.core.records import Application
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.units import to_us

MAX_JOBS = 32
"""Most jobs in one call of the script. Redis serves nobody else meanwhile: about a third of a millisecond."""


@dataclass(slots=True)
class Portion:
    """One call in the making: its arguments, and the places of its jobs among the applications, in order."""

    args: list[str | bytes | float]
    places: list[int] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many more jobs the call may take."""
        return MAX_JOBS - len(self.places)


def portions(
    applications: Sequence[Application], names: Mapping[int, str], *args: int
) -> list[tuple[ScriptCall, list[int]]]:
    """Return the calls of `admit`, each with the places of the applications that its replies belong to.

    Only the places in `names` are admitted; `names` gives the name of the request for each, see the script. `args` are
    the first arguments of every call. The order within an account is kept.
    """
    shards: dict[str, list[Portion]] = {}
    for account, places in _by_account(applications, names):
        filled = shards.setdefault(keys.prefix_of(account), [Portion([*args])])
        taken = 0
        while taken < len(places):
            if not filled[-1].room:
                filled.append(Portion([*args]))
            some = places[taken : taken + filled[-1].room]
            _add(filled[-1], some, applications, names)
            taken += len(some)
    filled_of = ((shard, one) for shard, filled in shards.items() for one in filled)
    return [(ScriptCall("admit", shard, one.args), one.places) for shard, one in filled_of]


def _by_account(
    applications: Sequence[Application], places: Iterable[int]
) -> Iterable[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(applications[place].job.account, []).append(place)
    return found.items()


def _add(
    portion: Portion, places: Sequence[int], applications: Sequence[Application], names: Mapping[int, str]
) -> None:
    """Add jobs of one account to a portion. The limits come from the first application."""
    account = applications[places[0]].account
    portion.args += (account.name, to_us(account.ttl), account.pace.packed(), len(places))
    for place in places:
        one = applications[place]
        expires_at = one.job.expires_at
        expires_us = "" if expires_at is None else to_us(expires_at.timestamp())
        portion.args += (
            one.job.id,
            one.job.packed(),
            expires_us,
            "1" if one.may_dial else one.lacks,
            names[place],
        )
    portion.places += places
