"""Applications as the script `admit` takes them: those of one shard together, up to a number that holds up no one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from worker.core.records import Application
from worker.redisio.runner import ScriptCall
from worker.state import keys

MAX_JOBS = 32
"""Jobs in one call of the script: Redis serves nobody else meanwhile, for a third of a millisecond."""

_MICRO = 1_000_000


@dataclass(slots=True)
class Portion:
    """What goes in one call: its arguments, and the places of its jobs among the applications, in order."""

    args: list[str | bytes | float]
    places: list[int] = field(default_factory=list)

    @property
    def room(self) -> int:
        return MAX_JOBS - len(self.places)


def portions(
    applications: Sequence[Application], names: Mapping[int, str], *args: int
) -> list[tuple[ScriptCall, list[int]]]:
    """Calls of `admit` that begin with `args`, each with the places of the applications that its replies are for.

    `names`: for each place that is to be admitted the call's name, see the script. Within an account the order stays.
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
    """Jobs of one account; the limits are those of the first's."""
    account = applications[places[0]].account
    portion.args += (account.name, account.ttl * _MICRO, account.pace.packed(), len(places))
    for place in places:
        one = applications[place]
        expires_at = one.job.expires_at
        expires_us = "" if expires_at is None else int(expires_at.timestamp() * _MICRO)
        portion.args += (one.job.id, one.job.packed(), expires_us, int(one.may_dial), names[place])
    portion.places += places
