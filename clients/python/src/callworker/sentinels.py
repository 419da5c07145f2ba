"""Which server Redis Sentinel calls the master of a name. Knows no connection: `masters` and `aio.masters` ask.

Source: Redis documentation, "Guidelines for Redis clients with support for Redis Sentinel".
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.exceptions import AuthenticationError, ConnectionError

from callworker.address import UNREADABLE

ASK_SECONDS = 0.5
"""The longest wait for a connection to a Sentinel, and for its answer."""
CHECK_SECONDS = 1.0
"""The longest wait for the first answers of a server that was named: one that hangs is soon named no more."""
LOOK_SECONDS = 1.0
"""How often it is asked whether the master is still the same, while there is something to send."""
SILENT_SECONDS = 5.0
"""The same, while no Sentinel answers."""

DEFAULT_PORT = 26379
SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
"""How an address begins, and how that of the master itself would."""
_OWN_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}


class NoMaster(ConnectionError):
    """No Sentinel that can be reached names a master that can be used."""


class UnknownMaster(NoMaster):
    """Every Sentinel answers, and none knows the name."""


class Place(NamedTuple):
    """Where one Sentinel or one Redis listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Named(NamedTuple):
    """What the Sentinel `by` says: where the master is, which failover chose it, and whether it seems to be down."""

    place: Place
    epoch: int
    down: bool
    by: Place


class Sentinels:
    """The Sentinels of one address, and what they said last.

    Safe over threads, and without a lock that a fork could leave locked: of two answers at once one may be forgotten.
    """

    def __init__(self, places: Sequence[Place], name: str, credentials: Mapping[str, str]) -> None:
        """`credentials` are `username` and `password` for the Sentinels themselves."""
        self.places, self.name, self.credentials = tuple(places), name, credentials
        self.options: Mapping[str, Any] = {}
        """Arguments of redis-py's connections to the Sentinels, besides place and waits."""
        self._order, self._epoch, self._look_at = self.places, 0, 0.0

    def __str__(self) -> str:
        return f"{','.join(map(str, self.places))}/{self.name}"

    @property
    def key(self) -> tuple[Any, ...]:
        """What addresses have in common that lead to the same master."""
        return (*sorted(self.places), self.name)

    @property
    def questions(self) -> tuple[tuple[str, ...], ...]:
        """The commands to ask a Sentinel. Their answers are for `named`."""
        return (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name), ("SENTINEL", "MASTER", self.name))

    def order(self) -> tuple[Place, ...]:
        """Return all places, the one that was right last first."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        return self._order

    def believes(self, named: Named) -> bool:
        """Return whether the answer may be used at once: it is not older than one that was had before."""
        if named.epoch < self._epoch or named.down:
            return False
        self._epoch = named.epoch
        self._order = (named.by, *self._without(named.by))
        return True

    def doubt(self, place: Place) -> None:
        """Ask this Sentinel last from now on: it did not answer, or named a server that is no master."""
        self._order = (*self._without(place), place)

    def usable(self, doubtful: Sequence[Named], *, complete: bool) -> list[Named]:
        """Return those of some answers that may be tried if no other can be, the newest first.

        One that is older than another that was had before leads to a server that was replaced. Only if the answers are
        `complete`, so that no Sentinel knows of that other any more, they were set up anew, and it is right.
        """
        if complete:
            self._epoch = min(self._epoch, max(each.epoch for each in doubtful))
        return sorted((each for each in doubtful if each.epoch >= self._epoch), key=lambda each: -each.epoch)

    def silent(self) -> None:
        """Leave them alone for a while: none answers."""
        self._look_at = time.monotonic() + SILENT_SECONDS

    @property
    def due(self) -> bool:
        """Whether it is time to ask whether the master is still the same."""
        return time.monotonic() > self._look_at

    def _without(self, place: Place) -> list[Place]:
        return [each for each in self._order if each != place]


def named(by: Place, address: Any, facts: Any) -> Named:
    """Read the answers to `Sentinels.questions`. While a Sentinel makes a replica the master, only the first tells it.

    Each may be an error. Raises it, or another one of redis-py if no master is named.
    """
    if "No such master" in str(facts):
        raise UnknownMaster(str(facts))
    for each in (address, facts):
        if isinstance(each, Exception):
            raise each
    if not address:
        raise ConnectionError(f"the Sentinel at {by} names no master")
    try:
        place = Place(address[0].decode(), int(address[1]))
        told = dict(zip(facts[::2], facts[1::2], strict=False))
        same = place == (told[b"ip"].decode(), int(told[b"port"]))
        down = same and b"_down" in told[b"flags"]
        return Named(place, int(told[b"config-epoch"]), down, by)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ConnectionError(f"what the Sentinel at {by} says cannot be read") from None


def no_master(sentinels: Sentinels, faults: Mapping[Place, Exception]) -> ConnectionError:
    """Return the error that no Sentinel names a master that can be used.

    `faults` are the errors of those that named none. If all refused alike, an operator has to change something: then it
    is an UnknownMaster or an AuthenticationError.
    """
    first, *_ = (*faults.values(), None)
    if len(faults) == len(sentinels.places):
        if all(isinstance(error, UnknownMaster) for error in faults.values()):
            return UnknownMaster(f"no Sentinel knows a master named {sentinels.name}")
        if all(isinstance(error, AuthenticationError) for error in faults.values()):
            return AuthenticationError(f"the Sentinels refuse: {first}")
    told = "; ".join(f"{place} {error}" for place, error in faults.items())
    return NoMaster(
        f"no Sentinel names a master {sentinels.name} that can be used: {told or 'all are in doubt'}"
    )


def hurried(seconds: float | None) -> float:
    """Return how long to wait for the first answers of a server where later ones may take `seconds`."""
    return min(seconds or CHECK_SECONDS, CHECK_SECONDS)


def divided(url: str) -> tuple[str, Sentinels]:
    """Return the address as one of a single server, and the Sentinels in it. Raises ValueError.

    The form is `redis+sentinel://[user:password@]host[:port],…/NAME[/DB][?options]`.
    """
    scheme, _, rest = url.partition("://")
    plain = SCHEMES[scheme.lower()]
    try:
        parts = urlsplit(f"{plain}://{rest}")
        user, at, hosts = parts.netloc.rpartition("@")
        places = [_place(each) for each in hosts.split(",") if each.strip()]
    except ValueError:
        raise ValueError(UNREADABLE) from None
    name, _, database = parts.path.strip("/").partition("/")
    if parts.fragment or not places or not name or "@" in parts.path:
        raise ValueError(
            "does not name Sentinels and a master, as in redis+sentinel://host1,host2,host3/NAME/0; "
            "write signs like / # ? @ : % in user names and passwords as %2F %23 …"
        )
    pairs = [pair for pair in parts.query.split("&") if pair]
    own = [pair for pair in pairs if pair.partition("=")[0] in _OWN_OPTIONS]
    credentials = {_OWN_OPTIONS[option]: value for option, value in parse_qsl("&".join(own))}
    query = "&".join(pair for pair in pairs if pair not in own)
    single = f"{plain}://{user}{at}localhost/{database}?{query}"
    return single, Sentinels(places, unquote(name), credentials)


def _place(text: str) -> Place:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname or parts.path or parts.port == 0:
        raise ValueError
    return Place(parts.hostname, parts.port or DEFAULT_PORT)
