"""Ends of jobs that subscribers were told of, put back into a state that was set back and has forgotten them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import redis

from worker.core.accounts import Account
from worker.core.events import UNKNOWN_ACCOUNT, Event, Status, event_type
from worker.core.jobs import ACCOUNT_PATTERN, ID_PATTERN
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.claims import Claim, Claims, Owner
from worker.state.decisions import Retention, endpoints
from worker.state.lua import store_scripts

AT_ONCE = 500
"""The most ends in one round trip: other clients of Redis wait meanwhile."""

MOST_OF_A_CALL = 32
"""The most ends in one call of the script."""

OTHER_ACCOUNT = "other_account"
"""What becomes of an end whose id another account has; the other words are those of end_as_told.lua."""

_STATUSES = {event_type(status): status for status in Status}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ToldEnd(NamedTuple):
    """How a job ended, as its event tells it."""

    job_id: str
    account: str
    event: Event


def read(line: str) -> ToldEnd | None:
    """Read an event as JSON, with the bytes in which it was published, however the line spells it.

    Returns None for an event that ends no job, and for a job whose account does not exist, because its id is free.
    Raises ValueError for what is no event.
    """
    told = json.loads(line)
    with suppress(KeyError, TypeError, AttributeError):
        kind, event_id, data = told["type"], told["id"], told["data"]
        if kind not in _STATUSES or (data.get("error") or {}).get("code") == UNKNOWN_ACCOUNT:
            return None
        job_id, account = data["id"], data["account"]
        if (
            ID_PATTERN.fullmatch(job_id)
            and ACCOUNT_PATTERN.fullmatch(account)
            and ID_PATTERN.fullmatch(event_id)
        ):
            return ToldEnd(job_id, account, Event(event_id, _STATUSES[kind], _encode(told)))
    raise ValueError("it is no event")


class ToldEnds:
    """Puts ends back into the store of `client`."""

    def __init__(self, client: redis.Redis, accounts: Mapping[str, Account], kept: Retention) -> None:
        """`accounts` say which webhooks get the events again."""
        self._scripts = store_scripts(client)
        self._claims = Claims(self._scripts, kept.remembered_ms)
        self._accounts, self._kept = accounts, kept

    def put_back(self, ends: Sequence[ToldEnd]) -> Counter[str]:
        """End each job as told, and count what became of them. Two or three round trips for each `AT_ONCE`.

        Raises StoreUnavailable or WrongKey; then any of the jobs may have ended, and all may be given again.
        """
        found: Counter[str] = Counter()
        for start in range(0, len(ends), AT_ONCE):
            found += self._put_back(ends[start : start + AT_ONCE])
        return found

    def _put_back(self, ends: Sequence[ToldEnd]) -> Counter[str]:
        owners = self._claims.owners([Claim(one.job_id, one.account) for one in ends])
        found: Counter[str] = Counter()
        shards: dict[str, list[ToldEnd]] = {}
        for one, owner in zip(ends, owners, strict=True):
            if not isinstance(owner, Owner):
                raise owner
            if owner.account not in ("", one.account):
                found[OTHER_ACCOUNT] += 1
            else:
                shards.setdefault(keys.prefix_of(one.account), []).append(one)
        for words in self._scripts.run_all(list(self._calls(shards))):
            found.update(word.decode() for word in words)
        return found

    def _calls(self, shards: Mapping[str, Sequence[ToldEnd]]) -> Iterator[ScriptCall]:
        for shard, ends in shards.items():
            for start in range(0, len(ends), MOST_OF_A_CALL):
                words = [word for one in ends[start : start + MOST_OF_A_CALL] for word in self._words(one)]
                yield ScriptCall("end_as_told", shard, (*self._kept, *words))

    def _words(self, one: ToldEnd) -> tuple[Any, ...]:
        event, account = one.event, self._accounts.get(one.account)
        return one.job_id, one.account, event.status, event.body, event.id, endpoints(account, event)
