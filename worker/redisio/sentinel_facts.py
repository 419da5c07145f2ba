"""What each Sentinel of an address says of itself, of the others, and of the servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from callworker.masters import answers
from callworker.sentinels import Place, Sentinels, named
from worker.redisio.connection import parameters


@dataclass(frozen=True, slots=True)
class Seen:
    """What one Sentinel says. Where `problem` is not None, nothing else is known.

    `sentinels` counts itself. `no_quorum` is its own text if the Sentinels that it reaches cannot choose a master; None
    also if it may not be asked. `replicas_down` are places.
    """

    place: str
    problem: Exception | None = None
    master: str = ""
    down: bool = False
    sentinels: int = 0
    quorum: int = 0
    no_quorum: str | None = None
    replicas: int = 0
    replicas_down: Sequence[str] = ()


def look(url: str) -> list[Seen]:
    """Ask every Sentinel of an address, 0.5 s each; nobody for an address of another kind. Raises ValueError."""
    sentinels: Sentinels | None = parameters(url).get("sentinels")
    return [_seen(sentinels, place) for place in sentinels.places] if sentinels else []


def same_master(one: str, other: str) -> bool:
    """Return whether two addresses name the same Sentinels and master. Raises ValueError."""
    keys = [found.key for url in (one, other) if (found := parameters(url).get("sentinels"))]
    return len(keys) == 2 and keys[0] == keys[1]


def _seen(sentinels: Sentinels, place: Place) -> Seen:
    commands = (
        *sentinels.questions,
        ("SENTINEL", "CKQUORUM", sentinels.name),
        ("SENTINEL", "REPLICAS", sentinels.name),
    )
    try:
        address, facts, quorum, replicas = answers(sentinels, place, commands)
        master = named(place, address, facts)
    except (RedisError, OSError) as error:
        return Seen(str(place), error)
    told, servers = (
        _table(facts),
        [] if isinstance(replicas, Exception) else [_table(each) for each in replicas],
    )
    return Seen(
        str(place),
        None,
        str(master.place),
        master.down,
        int(told.get("num-other-sentinels", 0)) + 1,
        int(told.get("quorum", 0)),
        str(quorum) if isinstance(quorum, ResponseError) and "NOQUORUM" in str(quorum) else None,
        len(servers),
        [f"{each.get('ip')}:{each.get('port')}" for each in servers if "_down" in each.get("flags", "")],
    )


def _table(pairs: Sequence[Any]) -> Mapping[str, str]:
    texts = [each.decode(errors="replace") for each in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=False))
