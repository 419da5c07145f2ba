"""Claims of ids: which account used an id first, and how its job ended. See docs/decisions/0007 and 0021."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

from worker.errors import StoreUnavailable
from worker.redisio.node import Command
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys

_DAY_MS = 86_400_000


class Claim(NamedTuple):
    """A request to use an id for a job that ends in `ttl_seconds` or at `expires_at`, whichever is later."""

    job_id: str
    account: str
    expires_at: datetime | None = None
    ttl_seconds: int = 0


class Ended(NamedTuple):
    """How a job ended: its status, when (Redis' own time, Unix ms), the digest of its content (`worker.core.repeats`),
    and the id of its event."""

    status: str
    at_ms: int
    digest: str
    event_id: str


NOTE = "!"
"""With this begins the note of a cancel that came before its job; an account's name cannot."""


class Owner(NamedTuple):
    """The account that has an id, and how its job ended; None if it has not, or a version before this one ended it.

    `canceled`: the job was canceled before it came, or ended because of it. `account` is empty if it has not come yet.
    """

    account: str
    ended: Ended | None = None
    canceled: bool = False

    @property
    def noted(self) -> bool:
        """Whether the job was canceled and is not on record yet."""
        return self.canceled and self.ended is None

    @classmethod
    def read(cls, claim: bytes) -> Self:
        """Read what a claim holds, see scripts/README.md."""
        account, *words = claim.decode().split(" ")
        if account.startswith(NOTE):
            return cls("", canceled=True)
        match words:
            case [status, at_ms, digest, event_id, *how] if at_ms.isdecimal():
                return cls(account, Ended(status, int(at_ms), digest, event_id), "canceled" in how)
        return cls(account, canceled=words == [NOTE])


class Claims:
    """Claims in Redis. Thread-safe.

    The claim of a job takes the place of the note of a cancel that came before it.

    A claim lasts until `retention_ms` and a day after the time at which its job expires; once the job has ended, until
    `retention_ms` after its end.
    """

    def __init__(self, scripts: Scripts, retention_ms: int) -> None:
        self._scripts, self._keep_ms = scripts, retention_ms + _DAY_MS

    def owners(self, claims: Sequence[Claim]) -> list[Owner | StoreUnavailable]:
        """Claim each id unless it is claimed already. Returns who has it, with StoreUnavailable as in `run_parts`.

        Takes one round trip, and a second if any id was claimed before, by this or another account. Raises
        StoreUnavailable or WrongKey; then any of the ids may be claimed.
        """
        now_ms = time.time_ns() // 1_000_000
        commands = [self._first(claim, now_ms) for claim in claims]
        owners: list[Owner | StoreUnavailable] = [Owner(claim.account) for claim in claims]
        again = list[int]()
        for n, reply in enumerate(self._scripts.commands_parts(commands)):
            if isinstance(reply, StoreUnavailable):
                owners[n] = reply
            elif reply is None:
                again.append(n)
        found = self._scripts.run_parts([_owner(commands[n]) for n in again])
        for n, owner in zip(again, found, strict=True):
            owners[n] = owner if isinstance(owner, StoreUnavailable) else Owner.read(owner)
        return owners

    def owner(self, job_id: str) -> Owner | None:
        """Return who has an id, or None. Claims nothing. Raises StoreUnavailable or WrongKey."""
        (claim,) = self._scripts.run_commands([("GET", keys.claim(job_id))])
        return None if claim is None else Owner.read(claim)

    def _first(self, claim: Claim, now_ms: int) -> Command:
        """Claim an id that nobody has. Almost all are new, and for these no script is needed."""
        ends_ms = now_ms + claim.ttl_seconds * 1000
        if claim.expires_at is not None:
            ends_ms = max(ends_ms, int(claim.expires_at.timestamp() * 1000))
        return ("SET", keys.claim(claim.job_id), claim.account, "PXAT", ends_ms + self._keep_ms, "NX")


def _owner(first: Command) -> ScriptCall:
    """Ask who has the id, or claim it if its claim has just ended. `first` is the command that found it claimed."""
    _, key, account, _, ends_ms, _ = first
    return ScriptCall("claim", str(key), (account, ends_ms))
