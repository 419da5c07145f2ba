"""Records jobs that end as they come: they are not valid, not allowed, or were canceled before."""

from __future__ import annotations

import time
from collections.abc import Mapping

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.cancels import Withdrawn
from worker.core.events import Event
from worker.core.jobs import Job
from worker.core.records import Admission, Application, Known, Later
from worker.core.retry import Tally
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.claims import Claim, Claims, Owner
from worker.state.conflicts import Conflict, Conflicts, known_by_claim, seen_by_content, seen_by_job
from worker.state.decisions import Retention, endpoints
from worker.state.installation import Installation

STRANGER_MS = 600_000
"""How long a rejected job of an account that does not exist is remembered, in case its message comes again."""

MAX_STRANGERS = 500
"""How many such jobs are remembered on each shard, unless another number is given."""


class Refusals:
    """Jobs that get no lease and no place in a lane. Thread-safe."""

    def __init__(
        self,
        scripts: Scripts,
        claims: Claims,
        conflicts: Conflicts,
        kept: Retention,
        max_strangers: int,
        installation: Installation,
    ) -> None:
        self._scripts, self._claims, self._conflicts = scripts, claims, conflicts
        self._kept, self._max_strangers, self._installation = kept, max_strangers, installation

    def reject(
        self,
        job_id: str,
        account_name: str,
        account: Account | None,
        event: Event,
        content: str,
        trace: str = "",
    ) -> Known | None:
        """See ports.Ledger. Takes two round trips, and a third for a conflict."""
        digest = repeats.digest(job_id, account_name, content)
        if account is None:
            owner = self._claims.owner(job_id)
            args = (job_id, account_name, event.body, digest, STRANGER_MS, self._max_strangers)
            call = ScriptCall("turn_away", keys.prefix_of(account_name), args)
        else:
            (claimed,) = self._claims.owners([Claim(job_id, account_name)])
            if isinstance(claimed, StoreUnavailable):
                raise claimed
            owner = claimed
            call = self._ended(job_id, account, event, digest, trace)
        if owner is None or not owner.account:
            owner = Owner(account_name)
        known = known_by_claim(owner, job_id, account_name, lambda: content)
        if known is None and len(reply := self._scripts.run(call)) > 1:
            known = seen_by_content(reply, job_id, account_name, content)
        if known is not None and known.differs:
            for failure in self._conflicts.report(
                [Conflict(owner.account, job_id, account_name, known, content)]
            ).values():
                raise failure
        return known

    def withdraw(self, applications: Mapping[int, Application]) -> dict[int, Admission]:
        """End jobs that were canceled before they came. Returns for each place what became of its job.

        Takes one round trip. Raises StoreUnavailable or WrongKey; any of the jobs may then have ended.
        """
        now_us = time.time_ns() // 1000
        ends = {n: self._withdrawal(one.job, now_us) for n, one in applications.items()}
        replies = self._scripts.run_parts(
            [self._withdrawn(one, ends[n].event) for n, one in applications.items()]
        )
        found: dict[int, Admission] = {}
        for (n, one), reply in zip(applications.items(), replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                found[n] = Later(reply)
            else:
                found[n] = seen_by_job(reply, one.job) if len(reply) > 1 else ends[n]
        return found

    def _withdrawal(self, job: Job, now_us: int) -> Withdrawn:
        installation = self._installation.id()
        return Withdrawn.after(Tally(), job, now_us, now_us, fence=0, installation=installation)

    def _withdrawn(self, one: Application, event: Event) -> ScriptCall:
        job = one.job
        digest = repeats.digest(job.id, job.account, repeats.content(job))
        return self._ended(job.id, one.account, event, digest, one.trace, "canceled")

    def _ended(
        self, job_id: str, account: Account, event: Event, digest: str, trace: str, how: str = ""
    ) -> ScriptCall:
        words = (job_id, account.name, event.body, event.id, digest, *self._kept, endpoints(account, event))
        return ScriptCall("reject", keys.prefix_of(account.name), (*words, trace, event.status, how))
