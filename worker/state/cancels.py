"""Turns cancels into calls of the scripts `claim` and `withdraw`. See docs/decisions/0024."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worker.core import repeats
from worker.core.cancels import (
    NOT_FOUND,
    NOTED_SECONDS,
    Answer,
    Cancel,
    Canceled,
    Noted,
    Stays,
    Waiting,
    Withdrawal,
    told_state,
)
from worker.core.jobs import Job
from worker.core.records import Later
from worker.core.retry import Tally
from worker.errors import StoreUnavailable, WrongKey
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.redisio.wrong_keys import wrong_key
from worker.state import keys
from worker.state.claims import NOTE, Owner
from worker.state.decisions import Retention, endpoints

MOST_AT_ONCE = 32
"""Most jobs in one call of the script, as in `admission`."""

_NOTED_MS = NOTED_SECONDS * 1000


class Cancels:
    """Cancels in Redis. Thread-safe."""

    def __init__(self, scripts: Scripts, kept: Retention) -> None:
        self._scripts, self._kept = scripts, kept

    def carry_out(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting | Later]:
        """See ports.Ledger. Takes one round trip, and one more if there are cancels among the wishes."""
        found: dict[int, Answer | Waiting | Later] = {}
        accounts = {
            n: wish.found.job.account for n, wish in enumerate(wishes) if isinstance(wish, Withdrawal)
        }
        cancels = {n: wish for n, wish in enumerate(wishes) if isinstance(wish, Cancel)}
        for (n, cancel), owner in zip(cancels.items(), self._owners(cancels.values()), strict=True):
            if isinstance(owner, StoreUnavailable):
                found[n] = Later(owner, account_waits=False)
            elif (known := _known_by_claim(cancel, owner)) is None:
                accounts[n] = owner.account
            else:
                found[n] = known
        found |= self._withdraw(wishes, accounts)
        return [found[n] for n in range(len(wishes))]

    def _owners(self, cancels: Iterable[Cancel]) -> list[Owner | StoreUnavailable]:
        """Say who has each id. Notes the cancel where nobody has."""
        ends_ms = time.time_ns() // 1_000_000 + _NOTED_MS
        calls = [
            ScriptCall("claim", keys.claim(one.job_id), (f"{NOTE}{one.account or ''}", ends_ms))
            for one in cancels
        ]
        return [
            claim if isinstance(claim, StoreUnavailable) else Owner.read(claim)
            for claim in self._scripts.run_parts(calls)
        ]

    def _withdraw(
        self, wishes: Sequence[Cancel | Withdrawal], accounts: Mapping[int, str]
    ) -> dict[int, Answer | Waiting | Later]:
        calls = list(_calls(wishes, accounts, self._kept))
        found: dict[int, Answer | Waiting | Later] = {}
        for (_, places), rows in zip(
            calls, self._scripts.run_parts([call for call, _ in calls]), strict=True
        ):
            if isinstance(rows, StoreUnavailable):
                found |= dict.fromkeys(places, Later(rows))
            else:
                found |= {
                    n: _answer(row, wishes[n], accounts[n]) for n, row in zip(places, rows, strict=True)
                }
        return found


def _known_by_claim(cancel: Cancel, owner: Owner) -> Answer | None:
    """Answer from what the claim says; None if only the record can tell."""
    if owner.account and cancel.account not in (None, owner.account):
        return Stays(cancel.account or "", NOT_FOUND)
    if owner.noted and not (owner.account and keys.ends_in_shards()):
        return Noted()
    if owner.ended is None:
        return None
    return Canceled() if owner.canceled else Stays(owner.account, owner.ended.status)


def _calls(
    wishes: Sequence[Cancel | Withdrawal], accounts: Mapping[int, str], kept: Retention
) -> Iterable[tuple[ScriptCall, list[int]]]:
    """Return the script calls, each with the places of its jobs among the wishes."""
    shards: dict[str, list[int]] = {}
    for n, account in accounts.items():
        shards.setdefault(keys.prefix_of(account), []).append(n)
    for shard, places in shards.items():
        for begin in range(0, len(places), MOST_AT_ONCE):
            some = places[begin : begin + MOST_AT_ONCE]
            words = [word for n in some for word in _words(wishes[n], accounts[n])]
            yield ScriptCall("withdraw", shard, (*kept, _NOTED_MS, *words)), some


def _words(wish: Cancel | Withdrawal, account: str) -> tuple[str | int, ...]:
    """Return the arguments of withdraw.lua for one job."""
    if isinstance(wish, Cancel):
        return (wish.job_id, account, *[""] * 7)
    found, event = wish.found, wish.ended.event
    job, tally = found.job, found.tally
    how = f"{found.fence} {tally.sent} {tally.not_rung} {tally.perhaps_rung}"
    digest = repeats.digest(job.id, job.account, repeats.content(job))
    ended = (event.status, event.body, event.id, digest, endpoints(wish.account, event), wish.trace)
    return (wish.job_id, account, how, *ended)


def _answer(row: Sequence[Any], wish: Cancel | Withdrawal, account: str) -> Answer | Waiting:
    word, *rest = row
    match word.decode():
        case "ended" if isinstance(wish, Withdrawal):
            return wish.ended
        case "canceled":
            return Canceled()
        case "noted":
            return Noted()
        case "stays":
            state, fence = rest
            return Stays(account, told_state(state.decode()), int(fence))
        case "waiting":
            how, packed, accepted_us, now_us = rest
            fence, *tally = map(int, how.split())
            job = Job.unpacked(wish.job_id, account, packed)
            return Waiting(job, fence, Tally(*tally), int(accepted_us), int(now_us))
    (wrong,) = rest
    raise wrong_key(wrong) or WrongKey(keys.prefix_of(account), "value of another type")
