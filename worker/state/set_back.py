"""Makes good what a shard lost that went back in time. See docs/decisions/0030."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from worker.core import repeats
from worker.core.accounts import Account
from worker.core.jobs import Job
from worker.core.making_good import Over, Step
from worker.core.records import Due
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.redisio.turns import Turns
from worker.state import keys
from worker.state.claims import Claim, Claims
from worker.state.decisions import Retention, endpoints
from worker.state.journal import Ended, Fact, Journal, Open
from worker.state.releases import RECLAIM_LEASE_US
from worker.state.units import to_us

LEAST_SECONDS, LONGEST_SECONDS = 6.0, 30.0
"""How long a shard is held at least, so that every worker has looked, and at most, if one of them says nothing."""

LOOKS_SECONDS = 10.0
"""How long it takes at most until some worker looks at a store that is back."""

MOST_AT_ONCE, MOST_SET_ASIDE = 32, 200
"""Most jobs in one call of a script. Redis serves nobody else meanwhile."""

MAX_WHOLE_US = 10**15
"""For a journal that never dropped anything."""


class Member(NamedTuple):
    """This worker among all: its id in the register, the ids of all that live there, and its accounts by name."""

    id: str
    living: Callable[[], Sequence[str]]
    account: Callable[[str], Account | None]


class SetBackShards:
    """Implements `core.making_good.SetBackStore` with the scripts `rejoin` and `put_back`. For one thread.

    `scripts` are without turns: these calls are for shards that are left alone.
    """

    def __init__(
        self,
        scripts: Scripts,
        turns: Turns,
        journal: Journal,
        member: Member,
        kept: Retention,
        lease_us: int,
        *,
        hold_seconds: tuple[float, float] = (LEAST_SECONDS, LONGEST_SECONDS),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts, self._turns, self._journal, self._member = scripts, turns, journal, member
        self._kept, self._lease_us, self._clock = kept, lease_us, clock
        self._claims = Claims(scripts, kept.remembered_ms)
        self._hold_us = [to_us(seconds) for seconds in hold_seconds]
        self._begun: frozenset[str] = frozenset()
        self._put: set[str] = set()

    @property
    def count(self) -> int:
        """See `SetBackStore`."""
        return len(self._turns.left_alone)

    def step(self) -> Step:
        """See `SetBackStore`. Holds the shards, puts back what the journal has, and goes on with what is made good."""
        left_alone = sorted(self._turns.left_alone)
        fresh = {*left_alone} - self._begun
        living = self._member.living() if left_alone else []
        over, soon = [], False
        for prefix, (word, *rest) in zip(left_alone, self._rejoin(left_alone, living), strict=True):
            if word == b"held":
                done, more = rest
                # What was put back is gone if the shard has gone back once more meanwhile.
                if not done:
                    self._put_back(prefix)
                soon = soon or bool(more)
            else:
                if prefix not in self._put:
                    self._put_back(prefix)
                over.append(_over(rest))
                self._put.discard(prefix)
                self._turns.go_on(prefix, int(rest[0]))
        self._begun = self._turns.left_alone.intersection(left_alone)
        return Step(len(fresh), over, soon)

    def _rejoin(self, prefixes: Sequence[str], living: Sequence[str]) -> list[Any]:
        return self._scripts.run_all([self._rejoining(prefix, living) for prefix in prefixes])

    def _rejoining(self, prefix: str, living: Sequence[str]) -> ScriptCall:
        contact = self._turns.contacts.get(prefix)
        clock_us = whole_us = 0
        if contact is not None:
            clock_us = contact.clock_us + to_us(min(self._clock() - contact.at, LOOKS_SECONDS))
            whole_us = round(min(self._journal.whole_before(contact.at) * 1_000_000, MAX_WHOLE_US))
        knows: list[str | int] = [self._member.id, self._turns.known.get(prefix, 0), clock_us, whole_us]
        knows.append(int(self._turns.has_lost(prefix)))
        return ScriptCall("rejoin", prefix, [*knows, *self._hold_us, MOST_SET_ASIDE, *living])

    def _put_back(self, prefix: str) -> None:
        """Put back all that the journal has of a shard. The last call says that this is all."""
        facts = [fact for fact in self._journal.facts() if keys.prefix_of(fact.key[0]) == prefix]
        for begin in range(0, max(len(facts), 1), MOST_AT_ONCE):
            some = facts[begin : begin + MOST_AT_ONCE]
            self._claim(some)
            words = [word for fact in some for word in self._words(fact)]
            worker = self._member.id if begin + MOST_AT_ONCE >= len(facts) else ""
            self._scripts.run(ScriptCall("put_back", prefix, (worker, *self._kept, *words)))
        self._put.add(prefix)

    def _claim(self, facts: Sequence[Fact]) -> None:
        """Claim the ids of jobs that have not ended; those of the others are claimed by their end."""
        jobs = [fact.job for fact in facts if isinstance(fact, Open)]
        claims = [Claim(job.id, job.account, job.expires_at, self._ttl_of(job)) for job in jobs]
        if claims:
            self._claims.owners(claims)

    def _ttl_of(self, job: Job) -> int:
        account = self._member.account(job.account)
        return account.ttl if account else 0

    def _words(self, fact: Fact) -> Iterator[str | int]:
        """Return the arguments of put_back.lua for one job."""
        account = self._member.account(fact.key[0])
        yield from (fact.key[1], fact.key[0], account.pace.packed() if account else "")
        if isinstance(fact, Ended):
            yield from ("ended", fact.fence, "", 0, 0, 0, 0, fact.perhaps_rung, 0, "")
            yield from (fact.event.status, fact.event.body, fact.event.id, _digest(fact))
            yield from (endpoints(account, fact.event), fact.trace, "canceled" if fact.canceled else "")
            return
        state, span_us = self._how_it_is(fact)
        tally = fact.tally
        yield from (state, fact.fence, fact.job.packed(), fact.accepted_us, fact.expires_us)
        yield from (tally.sent, tally.not_rung, tally.perhaps_rung, span_us, fact.why)
        yield from [""] * 7

    def _how_it_is(self, fact: Open) -> tuple[str, int]:
        """Return the state of a job, and how long it lasts (µs): until it may go, or until its lease ends."""
        if fact.due is None:
            return "waiting", to_us(max(fact.ready_at - self._clock(), 0.0))
        if fact.due is Due.DIAL:
            return "dialling", self._lease_us
        return "settling", RECLAIM_LEASE_US


def _digest(fact: Ended) -> str:
    content = fact.content
    if isinstance(content, str):
        return content
    return repeats.digest(fact.job_id, fact.account, repeats.content(content))


def _over(reply: Sequence[Any]) -> Over:
    _, put_back, perhaps_rung, all_known, took_us = map(int, reply)
    return Over(put_back, perhaps_rung, bool(all_known), took_us / 1_000_000)
