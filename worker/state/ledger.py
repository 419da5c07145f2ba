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
    Later,
    Lease,
    Parked,
    Reason,
    Recorded,
    Released,
    Standing,
)
from worker.core.retry import Tally
from worker.errors import LeaseLost, StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.accounts_files import OwnFile
from worker.state.admission import portions
from worker.state.cancels import Cancels
from worker.state.claims import Claim, Claims, Owner
from worker.state.conflicts import Conflict, Conflicts, known_by_claim, seen_by_job
from worker.state.decisions import Retention
from worker.state.decisions import calls as decisions_as_calls
from worker.state.installation import Installation
from worker.state.leases import LeaseReplies, Span, text
from worker.state.notices import put_on_their_way
from worker.state.refusals import MAX_STRANGERS, Refusals
from worker.state.releases import AHEAD_US, Releases, Timed
from worker.state.units import to_us


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
        self.lease_us = to_us(lease_seconds)
        self.kept = Retention.of(retention_seconds, replay_seconds)
        self._conflicts, self._cancels = Conflicts(scripts), Cancels(scripts, self.kept)
        self._installation = Installation(scripts)
        self._refusals = Refusals(
            scripts, self._claims, self._conflicts, self.kept, max_strangers, self._installation
        )
        self._replies = LeaseReplies(scripts.clock_of)
        self._timed = Timed(scripts, self._installation, clock)
        self._releases = Releases(self._timed, self._replies, self.lease_us)
        self._unheard: dict[str, str] = {}
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
        this raises after jobs were leased, the next `admit` of the same jobs gets their leases. So it does for jobs
        that are to be given again later.
        """
        owners = self._claims.owners([
            Claim(one.job.id, one.account.name, one.job.expires_at, one.account.ttl) for one in applications
        ])  # fmt: skip
        found = _by_claim(owners, applications)
        names = self._names(applications, [
            n for n, owner in enumerate(owners) if n not in found and not (isinstance(owner, Owner) and owner.noted)
        ])  # fmt: skip
        lost: Iterable[int] = names
        try:
            found |= self._admitted(applications, names)
            found |= self._refusals.withdraw({n: one for n, one in enumerate(applications) if n not in found})
            found |= self._report_conflicts(applications, found, owners)
            lost = {n for n in names if isinstance(found[n], Later)}
        finally:
            # Any of them may have been leased, whatever happened to the others.
            for n in lost:
                if names[n]:
                    self._unheard.setdefault(applications[n].job.id, names[n])
        return [found[n] for n in range(len(applications))]

    def _admitted(
        self, applications: Sequence[Application], names: Mapping[int, str]
    ) -> dict[int, Admission]:
        """Run the script for the applications in `names`; leave out those that were canceled since their claim."""
        calls = [
            call
            for number, some in self._file.grouped(applications, names)
            for call in portions(applications, some, self.lease_us, AHEAD_US, number)
        ]
        replies, span = self._timed.run_parts([call for call, _ in calls])
        found: dict[int, Admission] = {}
        for (_, places), rows in zip(calls, replies, strict=True):
            if isinstance(rows, StoreUnavailable):
                found |= dict.fromkeys(places, Later(rows))
                continue
            for n, reply in zip(places, rows, strict=True):
                if not _was_canceled(reply):
                    found[n] = self._admission(reply, applications[n].job, span)
        return found

    def lease_due(self, most: int) -> Released:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time."""
        return self._releases.lease_due(most)

    def learn(self, span: Span, now_us: int, shard: str) -> None:
        """Take note that a reply of another script, with that span, named `now_us` as the time at `shard`."""
        self._replies.learn(span, now_us, shard)

    def renew(self, lease: Lease, account: Account, tally: Tally, *, lapsed: bool = False) -> Lease | Parked:
        """See ports.Ledger. Takes one round trip."""
        args = (lease.job.id, lease.fence, account.name, self.lease_us, AHEAD_US,
                tally.sent, tally.not_rung, tally.perhaps_rung,
                int(lease.probe), account.pace.packed(), int(lapsed), self._file.generation_of(account))  # fmt: skip
        (reply,), span = self._timed.run_parts([ScriptCall("renew", keys.prefix_of(account.name), args)])
        if isinstance(reply, StoreUnavailable):
            raise reply
        if text(reply[0]) == "lost":
            raise LeaseLost(lease.job.id)
        return self._lease_or_parked(reply, lease.job, span)

    def record(self, decisions: Sequence[Decision]) -> list[Recorded]:
        """See ports.Ledger. Takes one round trip; the jobs of a shard that end share one script call."""
        calls = decisions_as_calls(decisions, self.kept)
        replies = self._scripts.run_parts([call for call, _ in calls])
        found: dict[int, Recorded] = {}
        for (_, places), rows in zip(calls, replies, strict=True):
            if isinstance(rows, StoreUnavailable):
                found |= dict.fromkeys(places, Recorded.LATER)
            else:
                found |= {place: Recorded(reply) for place, reply in zip(places, rows, strict=True)}
        return [found[place] for place in range(len(decisions))]

    def is_apart(self, error: StoreUnavailable) -> bool:
        """See ports.Ledger."""
        return self._scripts.is_apart(error)

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

    def cancel(self, wishes: Sequence[Cancel | Withdrawal]) -> list[Answer | Waiting | Later]:
        """See ports.Ledger."""
        return self._cancels.carry_out(wishes)

    def tell(self, notices: Sequence[Notice]) -> list[Later | None]:
        """See ports.Ledger. Takes one round trip."""
        failed, _ = put_on_their_way(self._scripts, notices)
        return [Later(failed[n]) if n in failed else None for n in range(len(notices))]

    def extend(self, leases: Sequence[Lease]) -> None:
        """See ports.Ledger. Takes one round trip."""
        args: dict[str, list[str | bytes | float]] = {}
        for lease in leases:
            shard = keys.prefix_of(lease.job.account)
            args.setdefault(shard, [self.lease_us]).extend((lease.job.id, lease.fence))
        self._scripts.run_parts([ScriptCall("extend", shard, words) for shard, words in args.items()])

    def reclaim(self, most: int) -> list[Lease]:
        """See ports.Ledger. Takes one round trip, and begins with another shard each time."""
        return self._releases.reclaim(most)

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
        self,
        applications: Sequence[Application],
        found: Mapping[int, Admission],
        owners: Sequence[Owner | StoreUnavailable],
    ) -> dict[int, Later]:
        """Report the conflicts among the admissions. Returns the places of those to be given again later."""
        conflicts: dict[int, Conflict] = {}
        for n, (one, owner) in enumerate(zip(applications, owners, strict=True)):
            admission = found[n]
            if isinstance(admission, Known) and admission.differs and isinstance(owner, Owner):
                content = repeats.content(one.job)
                conflicts[n] = Conflict(owner.account, one.job.id, one.job.account, admission, content)
        failed = self._conflicts.report(list(conflicts.values()))
        places = list(conflicts)
        return {places[n]: Later(cause, account_waits=False) for n, cause in failed.items()}

    def _admission(self, reply: list[Any], job: Job, span: Span) -> Admission:
        if text(reply[0]) == "seen":
            return seen_by_job(reply, job)
        return self._lease_or_parked(reply, job, span)

    def _lease_or_parked(self, reply: list[Any], job: Job, span: Span) -> Lease | Parked:
        if text(reply[0]) == "lease":
            return self._replies.lease(reply, span, self.lease_us, job)
        _, reason, until_us = reply
        return Parked(Reason(text(reason)), int(until_us))


def _was_canceled(reply: Sequence[Any]) -> bool:
    """Tell whether a cancel came between the claim of the job's id and its admission, see withdraw.lua."""
    return text(reply[0]) == "seen" and text(reply[1]) == "canceled"


def _by_claim(
    owners: Sequence[Owner | StoreUnavailable], applications: Sequence[Application]
) -> dict[int, Admission]:
    """Answer by place what the claims of the ids say already."""
    found: dict[int, Admission] = {}
    for n, (owner, one) in enumerate(zip(owners, applications, strict=True)):
        if isinstance(owner, StoreUnavailable):
            found[n] = Later(owner, account_waits=False)
        elif (known := _known_by_claim(owner, one.job)) is not None:
            found[n] = known
    return found


def _known_by_claim(owner: Owner, job: Job) -> Known | None:
    return known_by_claim(owner, job.id, job.account, lambda: repeats.content(job))
