"""The limiter in Lua, on a real Redis: the same arithmetic as the model, and the promise kept by several workers."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest
import redis

from tests.doubles import decisions
from tests.doubles.clocks import START_US, StoredClock, read_time_from_keys
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.accounts import Account
from worker.core.limits import Pace, grant, parse_rate, possible
from worker.core.records import Lease
from worker.core.retry import Tally
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

CASES = 4000
PRELUDES = "local TURNS\n" + "".join(
    (files("worker.state") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
    for name in ("ground", "common")
)
ONE_CASE_EACH = """
local replies = {}
for n = 1, #ARGV, 5 do
  NOW = tonumber(ARGV[n])
  redis.call('HSET', limit_key('acme'), 'tat', ARGV[n + 1], 'pace', ARGV[n + 4])
  local a = load_account('acme')
  local tat = a.tat
  local slot, at = next_slot(a, tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3]))
  replies[#replies + 1] = {int(tat), slot and int(slot) or '', int(at), redis.call('HGET', limit_key('acme'), 'tat')}
end
return replies
"""


@dataclass(frozen=True)
class Case:
    """One question to the limiter."""

    now_us: int
    tat_us: int
    ready_us: int
    ahead_us: int
    pace: Pace

    @classmethod
    def drawn(cls, chance: random.Random) -> Case:
        period_us = chance.choice((1_000_000, 60_000_000, 3_600_000_000))
        pace = Pace.of(chance.choice((1, 2, 7, 60, 999, 999_999)), period_us, chance.randint(1, 40), 1)
        now_us = START_US + chance.randint(0, 10**12)
        spread_us = chance.choice((1, 30_000, 2 * pace.interval_us, 50 * pace.interval_us, 10**13))
        near = chance.choice((-1, 1)) * chance.randint(0, spread_us)
        edge = chance.choice((0, pace.tolerance_us, pace.interval_us))
        return cls(
            now_us,
            max(now_us + near + edge, 0),
            max(now_us + chance.randint(-spread_us, spread_us), 0),
            chance.choice((0, 20_000, 1_000_000)),
            pace,
        )

    def arguments(self) -> tuple[int | str, ...]:
        return (self.now_us, self.tat_us, self.ready_us, self.ahead_us, self.pace.packed())

    def answer(self) -> list[bytes]:
        """The model's answer in the script's form: TAT as loaded, slot, new TAT or next slot, TAT on record."""
        tat = possible(self.tat_us, self.now_us, self.pace)
        answer = grant(tat, self.now_us, self.ready_us, self.ahead_us, self.pace)
        slot, at = ("", answer) if isinstance(answer, int) else answer
        return [str(part).encode() for part in (tat, slot, at, tat)]


@pytest.mark.parametrize("seed", range(5))
def test_script_and_model_agree_on_every_case(client: redis.Redis, seed: int) -> None:
    """For any clock, schedule, wait and pace the Lua arithmetic gives what `grant` and `possible` give, to the µs."""
    chance = random.Random(seed)
    cases = [Case.drawn(chance) for _ in range(CASES)]
    for n in range(0, CASES, 400):
        part = cases[n : n + 400]
        arguments = [argument for case in part for argument in case.arguments()]
        replies: Any = client.eval(PRELUDES + ONE_CASE_EACH, 1, "callworker:{0}:", *arguments)
        assert replies == [case.answer() for case in part]


OVERLOADED = 6
"""Standstills in a row after which slots are made wider."""


def test_slots_become_wider_where_they_keep_lapsing(ledger: RedisLedger, clock: StoredClock) -> None:
    """Standstills one after the other widen an account's slots as the model says; a while without ends that.

    What lapses within one standstill counts once, and one standstill alone changes nothing.
    """
    owner = account("acme", "100/s", burst=9)
    (lease,) = ledger.admit([application("a", owner, expires_at_us=START_US * 2)])
    validities = list[int]()
    for _ in range(2 * OVERLOADED):
        for _ in range(3):
            lease = renewed(ledger, lease, owner, lapsed=True)
            clock.advance(0.011)
        validities.append(validity_us(lease))
        clock.advance(0.4)
    steps = [owner.pace.eased(step).valid_us for step in range(3)]
    assert sorted(set(validities)) == steps
    assert validities == sorted(validities) and validities[0] == validities[3]
    clock.advance(11)
    lease = renewed(ledger, lease, owner, lapsed=False)
    assert validity_us(lease) == steps[0]


def renewed(ledger: RedisLedger, lease: object, owner: Account, *, lapsed: bool) -> Lease:
    assert isinstance(lease, Lease)
    again = ledger.renew(lease, owner, Tally(), lapsed=lapsed)
    assert isinstance(again, Lease)
    return again


def validity_us(lease: object) -> int:
    assert isinstance(lease, Lease)
    return round((lease.slot.closes - lease.slot.opens) * 1_000_000)


class Sender:
    """Several workers that take turns at random, and an adversary who sends each request as late as is allowed."""

    def __init__(
        self, client: redis.Redis, chance: random.Random, owners: list[Account], late_us: int
    ) -> None:
        self.clock, self._chance, self._owners, self._late_us = StoredClock(client), chance, owners, late_us
        scripts = store_scripts(client)
        self._workers = [redis_ledger(scripts, self.clock) for _ in range(3)]
        self.slots: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._count = 0

    def flood(self, seconds: float, batch: int) -> None:
        """Keep every lane full; workers ask when something is due, up to `late_us` late."""
        ends_us = self.clock.now_us + int(seconds * 1_000_000)
        self._arrive(batch)
        while self.clock.now_us < ends_us:
            worker = self._chance.choice(self._workers)
            self.clock.advance(
                worker.lease_due(0).wait_seconds + self._chance.randint(0, self._late_us) / 1_000_000
            )
            for lease in worker.lease_due(100).leases:
                self._send(worker, lease)
                self._arrive(1, lease.job.account)

    def _arrive(self, batch: int, name: str | None = None) -> None:
        owners = [owner for owner in self._owners if name in (None, owner.name)]
        worker = self._chance.choice(self._workers)
        applications = [
            application(self._name(), owner, expires_at_us=START_US * 2) for owner in owners * batch
        ]
        for admission in worker.admit(applications):
            if isinstance(admission, Lease):
                self._send(worker, admission)

    def _name(self) -> str:
        self._count += 1
        return f"job-{self._count}"

    def _send(self, worker: RedisLedger, lease: Lease) -> None:
        """Send on the worker's own clock, which nobody sets."""
        opens, closes = (round(moment * 1_000_000) for moment in (lease.slot.opens, lease.slot.closes))
        self.slots[lease.job.account].append((opens, closes))
        decisions.settle(worker, lease, None, Tally(sent=1), placed(lease))


def fullest_window(sends: list[tuple[int, int]], period_us: int) -> int:
    """The most requests in a window of one period if each leaves, within its slot, when it hurts most."""
    return max(
        sum(1 for opens, closes in sends if opens <= begin + period_us and closes >= begin)
        for _, begin in sends
    )


@pytest.mark.parametrize(("seed", "late_us"), [(1, 0), (2, 3_000), (3, 40_000), (4, 400_000)])
def test_workers_together_keep_every_limit(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, seed: int, late_us: int
) -> None:
    """Accounts of different rates, flooded, three workers, any lateness: no window holds more than rate + burst."""
    read_time_from_keys(monkeypatch)
    owners = [
        account("acme", "10/s", burst=3),
        account("globex", "120/m"),
        account("initech", "50/s", burst=5, concurrency=50),
    ]
    sender = Sender(client, random.Random(seed), owners, late_us)
    sender.flood(4.0, batch=8)
    for owner in owners:
        rate, period_us = parse_rate(owner.rate)
        assert len(sender.slots[owner.name]) >= owner.burst + 4
        assert fullest_window(sender.slots[owner.name], period_us) <= rate + owner.burst


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_clock_that_is_set_keeps_every_limit(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Set back or forwards again and again, or unseen for a while: in no real window are there more than rate + burst,
    and while the clock stands nobody waits for it. (B6)
    """
    read_time_from_keys(monkeypatch)
    chance = random.Random(seed)
    owner = account("acme", "10/s", burst=3, ttl=86_400)
    sender = Sender(client, chance, [owner], 10_000)
    for _ in range(12):
        sender.flood(0.5, batch=8)
        before = len(sender.slots["acme"])
        if chance.random() < 0.3:
            sender.clock.pass_unasked(chance.choice((1.5, 40.0)))
        else:
            sender.clock.set_store(chance.choice((-3600.0, -90.0, -0.5, 2.0, 90.0)))
        sender.flood(0.5, batch=8)
        assert len(sender.slots["acme"]) >= before + 3
    rate, period_us = parse_rate(owner.rate)
    assert fullest_window(sender.slots["acme"], period_us) <= rate + owner.burst


def test_prompt_workers_use_the_rate(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 99 % of each rate is used while jobs wait and workers ask within 5 ms."""
    read_time_from_keys(monkeypatch)
    owners = [account("acme", "10/s"), account("globex", "40/s")]
    sender = Sender(client, random.Random(7), owners, late_us=5_000)
    sender.flood(20.0, batch=4)
    for owner in owners:
        rate, period_us = parse_rate(owner.rate)
        assert len(sender.slots[owner.name]) >= 0.99 * rate * 20_000_000 / period_us
