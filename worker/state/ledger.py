"""The ledger in Redis: implements `core.ports.Ledger` with the scripts of this package.

A method turns its arguments into script calls, runs all of them in one round trip, and turns the replies into the
records of `core.records`. The other modules of this package know the forms: `admission` and `decisions` of what goes
to the scripts, `leases` and `conflicts` of what comes back. Each script is atomic, the calls of a method together are
not.

The ledger adds one thing of its own: the names of requests. A script may have leased jobs although its reply was lost,
and then no worker would know that it has them. So each request that can lease has a random name, which the script
writes to the jobs that it leases; under the same name they are given again.
"""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.cancels import Answer, Cancel, Waiting, Withdrawal
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.notices import Notice
from worker.core.records import (
    Admission,
    Application,
    Decision,
    Known,
    Lease,
    Parked,
    Reason,
    Recorded,
    Released,
    Standing,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost, StoreUnavailable
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys
from worker.state.accounts_files import OwnFile
from worker.state.admission import portions
from worker.state.cancels import Cancels
from worker.state.claims import Claim, Claims, Owner
from worker.state.conflicts import Conflict, Conflicts, known_by_claim, seen_by_job
from worker.state.decisions import Kept
from worker.state.decisions import calls as decisions_as_calls
from worker.state.installation import Installation
from worker.state.leases import LeaseReplies, Span, text
from worker.state.notices import calls as notices_as_calls
from worker.state.refusals import MAX_STRANGERS, Refusals
from worker.state.units import to_seconds, to_us

AHEAD_US = 20_000
"""How far ahead of its slot a job may be leased: the time it takes to get from Redis to the dialling thread."""

RECLAIM_LEASE_US = 15_000_000
"""How long a lease of `reclaim` lasts. Such a job only has to be decided, not dialled."""


class RedisLedger:
    """Jobs, lanes and limits in Redis. Thread-safe, except that only one thread may call `lease_due`."""

    def __init__(
        self,
        scripts: Scripts,
        *,
        lease_seconds: float,
        retention_seconds: int,
        replay_seconds: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_strangers: int = MAX_STRANGERS,
    ) -> None:
        """`lease_seconds` is how long a worker may keep a job for one attempt; `retention_seconds` is how long an
        ended job is remembered; `replay_seconds`, if it is less, for how long its event may be sent again to webhooks
        that have taken it; `max_strangers` is how many rejected jobs of accounts that do not exist are
        remembered on each shard."""
        self._scripts = scripts
        self._claims = Claims(scripts, retention_seconds * 1000)
        self._lease_us = to_us(lease_seconds)
        self._kept = Kept(
            retention_seconds * 1000, min(replay_seconds or retention_seconds, retention_seconds) * 1000
        )
        self._conflicts, self._cancels = Conflicts(scripts), Cancels(scripts, self._kept)
        self._installation = Installation(scripts)
        self._refusals = Refusals(
            scripts, self._claims, self._conflicts, self._kept, max_strangers, self._installation
        )
        self._clock, self._replies = clock, LeaseReplies()
        self._turns = itertools.count()
        self._unheard: dict[str, str] = {}
        self._unanswered: list[str] = []
        self._file = OwnFile(scripts)

    def installation(self) -> str:
        """See ports.Ledger."""
        return self._installation.id()

    def announce(self, file: str, accounts: Mapping[str, Account]) -> Standing:
        """See ports.Ledger. Takes one round trip."""
        return self._file.announce(file, accounts)

    def declare(self, accounts: Iterable[Account]) -> None:
        """See ports.Ledger. Takes a round trip for each 500 accounts, to use little memory."""
        self._file.declare(accounts)

    def admit(self, applications: Sequence[Application]) -> list[Admission]:
        """See ports.Ledger. Takes two round trips, however many applications there are.

        One more follows if ids were used before, one if there are conflicts, and one for jobs that were canceled. If
        this raises after jobs were leased, the next `admit` of the same jobs gets their leases.
        """
        owners = self._claims.owners([
            Claim(one.job.id, one.account.name, one.job.expires_at, one.account.ttl) for one in applications
        ])  # fmt: skip
        known = [_known_by_claim(owner, one.job) for owner, one in zip(owners, applications, strict=True)]
        names = self._names(applications, [
            n for n, owner in enumerate(owners) if known[n] is None and not owner.noted
        ])  # fmt: skip
        found: dict[int, Admission] = {n: seen for n, seen in enumerate(known) if seen is not None}
        try:
            found |= self._admitted(applications, names)
            found |= self._refusals.withdraw({n: one for n, one in enumerate(applications) if n not in found})
            admissions = [found[n] for n in range(len(applications))]
            self._report_conflicts(applications, admissions, owners)
        except Exception:
            # Any of them may have been leased, whatever happened to the others.
            for n, name in names.items():
                if name:
                    self._unheard.setdefault(applications[n].job.id, name)
            raise
        return admissions

    def _admitted(
        self, applications: Sequence[Application], names: Mapping[int, str]
    ) -> dict[int, Admission]:
        """Run the script for the applications in `names`; leave out those that were canceled since their claim."""
        calls = [
            call
            for number, some in self._file.grouped(applications, names)
            for call in portions(applications, some, self._lease_us, AHEAD_US, number)
        ]
        replies, span = self._timed([call for call, _ in calls])
        return {
            n: self._admission(reply, applications[n].job, span)
            for (_, places), rows in zip(calls, replies, strict=True)
            for n, reply in zip(places, rows, strict=True)
            if not _was_canceled(reply)
        }

    def lease_due(self, most: int) -> Released:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time.

        If the reply is lost, the next call first asks for the leases that it contained.
        """
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
        now_us, due_us, *rows = reply
        self._replies.learn(span, int(now_us))
        leases += self._replies.leases(rows, span, self._lease_us)
        return Released(leases, _wait_seconds(int(now_us), int(due_us)))

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        """See ports.Ledger. Takes one round trip."""
        args = (lease.job.id, lease.fence, account.name, self._lease_us, AHEAD_US,
                tally.sent, tally.not_rung, tally.perhaps_rung,
                int(lease.probe), account.pace.packed(), int(lapsed), self._file.generation_of(account))  # fmt: skip
        (reply,), span = self._timed([ScriptCall("renew", keys.prefix_of(account.name), args)])
        if text(reply[0]) == "lost":
            raise LeaseLost(lease.job.id)
        return self._lease_or_parked(reply, lease.job, span)

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """See ports.Ledger. Takes one round trip; the jobs of a shard that end share one script call."""
        calls = decisions_as_calls(decisions, self._kept)
        replies = self._scripts.run_all([call for call, _ in calls])
        found = {
            place: Recorded(reply)
            for (_, places), rows in zip(calls, replies, strict=True)
            for place, reply in zip(places, rows, strict=True)
        }
        return [found[place] for place in range(len(decisions))]

    def reject(
        self,
        job_id: str,
        account_name: str,
        account: Account | None,
        event: Event,
        content: str,
        trace: str = "",
    ) -> Known | None:
        """See ports.Ledger."""
        return self._refusals.reject(job_id, account_name, account, event, content, trace)

    def cancel(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting]:
        """See ports.Ledger."""
        return self._cancels.carry_out(wishes)

    def tell(self, notices: Iterable[Notice]) -> None:
        """See ports.Ledger. Takes one round trip."""
        self._scripts.run_all(notices_as_calls(notices))

    def extend(self, leases: Sequence[Lease]) -> None:
        """See ports.Ledger. Takes one round trip."""
        args: dict[str, list[str | bytes | float]] = {}
        for lease in leases:
            shard = keys.prefix_of(lease.job.account)
            args.setdefault(shard, [self._lease_us]).extend((lease.job.id, lease.fence))
        self._scripts.run_all([ScriptCall("extend", shard, words) for shard, words in args.items()])

    def reclaim(self, most: int) -> list[Lease]:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time."""
        args = (most, RECLAIM_LEASE_US, self._lease_us)
        (rows,), span = self._timed([ScriptCall("reclaim", keys.prefixes(next(self._turns)), args)])
        return self._replies.leases(rows, span, RECLAIM_LEASE_US)

    def _names(self, applications: Sequence[Application], places: Sequence[int]) -> dict[int, str]:
        """Name the request for each application that is admitted, by its place.

        The name is the one whose reply was lost, if there was one; "" if the job may not be leased at once.
        """
        request = secrets.token_hex(8)
        return {
            n: self._unheard.pop(applications[n].job.id, f"{request}:{n}" if applications[n].may_dial else "")
            for n in places
        }

    def _report_conflicts(
        self, applications: Sequence[Application], admissions: Sequence[Admission], owners: Sequence[Owner]
    ) -> None:
        self._conflicts.report(
            [
                Conflict(owner.account, one.job.id, one.job.account, admission, repeats.content(one.job))
                for one, admission, owner in zip(applications, admissions, owners, strict=True)
                if isinstance(admission, Known) and admission.differs
            ]
        )

    def _timed(self, calls: Sequence[ScriptCall]) -> tuple[list[Any], Span]:
        """Run `calls`; return the replies, and when the round trip began and ended.

        Before the first lease it learns the installation: the end of a job must not have to wait for that.
        """
        self._installation.id()
        sent = self._clock()
        replies = self._scripts.run_all(calls)
        return replies, (sent, self._clock())

    def _regain(self) -> list[Lease]:
        """Ask for the leases whose replies were lost. No other worker knows of them, and nothing was sent."""
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
        if text(reply[0]) == "seen":
            return seen_by_job(reply, job)
        return self._lease_or_parked(reply, job, span)

    def _lease_or_parked(self, reply: list[Any], job: Job, span: Span) -> Lease | Parked:
        if text(reply[0]) == "lease":
            return self._replies.lease(reply, span, self._lease_us, job)
        _, reason, until_us = reply
        return Parked(Reason(text(reason)), int(until_us))


def _was_canceled(reply: Sequence[Any]) -> bool:
    """Tell whether a cancel came between the claim of the job's id and its admission, see withdraw.lua."""
    return text(reply[0]) == "seen" and text(reply[1]) == "canceled"


def _known_by_claim(owner: Owner, job: Job) -> Known | None:
    return known_by_claim(owner, job.id, job.account, lambda: repeats.content(job))


def _wait_seconds(now_us: int, due_us: int) -> float:
    """Return when to ask again for due jobs; infinite if no account is due (`due_us` is 0).

    The moment is in the middle of `AHEAD_US`, so that one request gets the slots of several milliseconds and none is
    asked for too late.
    """
    return to_seconds(max(due_us - now_us - AHEAD_US // 2, 0)) if due_us else math.inf
