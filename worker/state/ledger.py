"""The ledger on Redis: implements `ports.Ledger` with the scripts of this package."""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Lease,
    Parked,
    Reason,
    Recorded,
    Released,
    Seen,
    Standing,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost, StoreUnavailable
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import accounts_files, conflicts, keys
from worker.state.admission import portions
from worker.state.claims import Claim, Claims
from worker.state.decisions import calls as decisions_as_calls
from worker.state.decisions import endpoints
from worker.state.leases import LeaseReplies, Span, text

AHEAD_US = 20_000
"""How far ahead of its slot a job may be leased: covers the way from Redis to the dialling thread."""

RECLAIM_LEASE_US = 15_000_000
STRANGER_MS, MAX_STRANGERS = 600_000, 500
"""How long, and of each shard how many, rejected jobs of accounts that do not exist are remembered: for redelivery."""

_MICRO = 1_000_000


class RedisLedger:
    """Jobs, lanes and limits in Redis. Thread-safe but for `lease_due`, which is one thread's own.

    `lease_seconds` is how long a worker may keep a job for one attempt, `retention_seconds` how long the record of
    an ended job stays.
    """

    def __init__(
        self,
        scripts: Scripts,
        *,
        lease_seconds: float,
        retention_seconds: int,
        clock: Callable[[], float] = time.monotonic,
        max_strangers: int = MAX_STRANGERS,
    ) -> None:
        self._scripts = scripts
        self._claims = Claims(scripts, retention_seconds * 1000)
        self._lease_us = int(lease_seconds * _MICRO)
        self._retention_ms = retention_seconds * 1000
        self._clock, self._replies = clock, LeaseReplies()
        self._max_strangers = max_strangers
        self._turns = itertools.count()
        self._unheard: dict[str, str] = {}
        self._unanswered: list[str] = []
        self._generation = 0

    def announce(self, file: str) -> Standing:
        """See ports.Ledger; one round trip."""
        self._generation, standing = accounts_files.announce(self._scripts, file)
        return standing

    def declare(self, accounts: Iterable[Account]) -> None:
        """See ports.Ledger; one round trip."""
        self._scripts.run_all([
            ScriptCall("declare", keys.prefix_of(account.name), (account.name, account.pace.packed(), self._generation))
            for account in accounts
        ])  # fmt: skip

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """See ports.Ledger; two round trips, however many applications; a third where ids were seen before, and a
        fourth where other jobs have them."""
        owners = self._claims.owners([
            Claim(one.job.id, one.account.name, one.job.expires_at, one.account.ttl) for one in applications
        ])  # fmt: skip
        names = self._names(applications, owners)
        calls = portions(applications, names, self._lease_us, AHEAD_US, self._generation)
        try:
            replies, span = self._timed([call for call, _ in calls])
        except Exception:
            # Some may have been leased, whatever became of the others.
            for n, name in names.items():
                if name:
                    self._unheard.setdefault(applications[n].job.id, name)
            raise
        admissions: list[Admission] = [conflicts.ANOTHER_ACCOUNTS] * len(applications)
        for (_, places), rows in zip(calls, replies, strict=True):
            for n, reply in zip(places, rows, strict=True):
                admissions[n] = self._admission(reply, applications[n].job, span)
        self._note_conflicts(applications, admissions, owners)
        return admissions

    def _names(self, applications: Sequence[Application], owners: Sequence[str]) -> dict[int, str]:
        """The name of each application's call, by its place; those whose id is another account's have none."""
        call = secrets.token_hex(8)
        return {
            n: self._unheard.pop(one.job.id, f"{call}:{n}" if one.may_dial else "")
            for n, one in enumerate(applications)
            if owners[n] == one.account.name
        }

    def _note_conflicts(
        self, applications: Sequence[Application], admissions: Sequence[Admission], owners: Sequence[str]
    ) -> None:
        conflicts.note(
            self._scripts,
            (
                (owner, one.job.id)
                for one, admission, owner in zip(applications, admissions, owners, strict=True)
                if isinstance(admission, Seen) and admission.differs
            ),
        )

    def lease_due(self, most: int) -> Released:
        """See ports.Ledger; one round trip. The shards take turns in being first."""
        leases = self._regain()
        name = secrets.token_hex(8)
        args = (max(most - len(leases), 0), self._lease_us, AHEAD_US, name)
        try:
            (reply,), span = self._timed([ScriptCall("lease", keys.prefixes(next(self._turns)), args)])
        except StoreUnavailable:
            self._unanswered.append(name)
            if not leases:
                raise
            return Released(leases, 0.0)
        self._replies.learn(span, int(reply[0]))
        return Released(leases + self._replies.leases(reply[2:], span, self._lease_us), _wait_seconds(reply))

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        args = (lease.job.id, lease.fence, account.name, self._lease_us, AHEAD_US,
                tally.sent, tally.not_rung, tally.perhaps_rung,
                int(lease.probe), account.pace.packed(), int(lapsed), self._generation)  # fmt: skip
        (reply,), span = self._timed([ScriptCall("renew", keys.prefix_of(account.name), args)])
        admission = self._admission(reply, lease.job, span)
        if isinstance(admission, Seen):
            raise LeaseLost(lease.job.id)
        return admission

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """See ports.Ledger; one round trip, in which the jobs of a shard that end go together."""
        calls = decisions_as_calls(decisions, self._retention_ms)
        replies = self._scripts.run_all([call for call, _ in calls])
        found = {
            place: Recorded(reply)
            for (_, places), rows in zip(calls, replies, strict=True)
            for place, reply in zip(places, rows, strict=True)
        }
        return [found[place] for place in range(len(decisions))]

    def reject(
        self, job_id: str, account_name: str, account: Account | None, event: Event, content: str
    ) -> Seen | None:
        """See ports.Ledger; two round trips, and a third for a conflict."""
        digest = repeats.digest(job_id, account_name, content)
        if account is None:
            owner = self._claims.owner(job_id) or account_name
            args = (job_id, account_name, event.body, digest, STRANGER_MS, self._max_strangers)
            call = ScriptCall("turn_away", keys.prefix_of(account_name), args)
        else:
            (owner,) = self._claims.owners([Claim(job_id, account_name)])
            ended = (job_id, account_name, event.body, digest, self._retention_ms, endpoints(account, event))
            call = ScriptCall("reject", keys.prefix_of(account_name), ended)
        seen: Seen | None = conflicts.ANOTHER_ACCOUNTS
        if owner == account_name:
            reply = self._scripts.run(call)
            seen = conflicts.seen_by_content(reply, job_id, account_name, content) if len(reply) > 1 else None
        if seen is not None and seen.differs:
            conflicts.note(self._scripts, [(owner, job_id)])
        return seen

    def keep(self, leases: Sequence[Lease]) -> None:
        """See ports.Ledger; one round trip."""
        args: dict[str, list[str | bytes | float]] = {}
        for lease in leases:
            shard = keys.prefix_of(lease.job.account)
            args.setdefault(shard, [self._lease_us]).extend((lease.job.id, lease.fence))
        self._scripts.run_all([ScriptCall("keep", shard, words) for shard, words in args.items()])

    def reclaim(self, most: int) -> list[Lease]:
        args = (most, RECLAIM_LEASE_US, self._lease_us)
        (rows,), span = self._timed([ScriptCall("reclaim", keys.prefixes(next(self._turns)), args)])
        return self._replies.leases(rows, span, RECLAIM_LEASE_US)

    def _timed(self, calls: Sequence[ScriptCall]) -> tuple[list[Any], Span]:
        sent = self._clock()
        replies = self._scripts.run_all(calls)
        return replies, (sent, self._clock())

    def _regain(self) -> list[Lease]:
        """The leases of calls whose replies were lost: nobody else knows of them, and nothing was sent."""
        leases: list[Lease] = []
        while self._unanswered:
            try:
                (reply,), span = self._timed([ScriptCall("regain", keys.prefixes(), (self._unanswered[0],))])
            except StoreUnavailable:
                if not leases:
                    raise
                break
            leases += self._replies.leases(reply, span, self._lease_us)
            self._unanswered.pop(0)
        return leases

    def _admission(self, reply: list[Any], job: Job, span: Span) -> Admission:
        kind = text(reply[0])
        if kind == "lease":
            return self._replies.lease(reply, span, self._lease_us, job)
        if kind == "parked":
            return Parked(Reason(text(reply[1])), int(reply[2]))
        if kind == "seen":
            return conflicts.seen_by_job(reply, job)
        return Seen("")


def _wait_seconds(reply: list[Any]) -> float:
    """From the head of a reply of lease.lua: when to ask again. Halfway into what may be leased ahead, so that one
    question brings the slots of some milliseconds and none is asked for too late."""
    now_us, due_us = int(reply[0]), int(reply[1])
    return max(due_us - now_us - AHEAD_US // 2, 0) / _MICRO if due_us else math.inf
