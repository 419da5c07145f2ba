"""A key of ours with a foreign value: nothing is left half done, and nothing else stops."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from tests.doubles.clocks import StoredClock
from tests.doubles.samples import account, accounts, job, placed, rejection
from worker.core.accounts import Account
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel
from worker.core.current import CurrentAccounts
from worker.core.endpoints import Endpoint
from worker.core.records import Application, Ending, Lease, Parking, Reason, Recorded, Source
from worker.core.retry import Tally
from worker.core.shards import shard_of
from worker.delivery.ports import Conclusion, Destination, Health, Verdict
from worker.delivery.schedule import ATTEMPT_SECONDS
from worker.engine.declared_limits import DeclaredLimits
from worker.engine.dialler import Dialler
from worker.engine.releaser import Releaser
from worker.errors import LeaseLost, WrongKey
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.census import Census
from worker.state.deliveries import RedisDeliveries
from worker.state.endpoints import RedisEndpoints
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox
from worker.state.views import JobViews
from worker.telemetry.accounts_file import AccountsFileTold
from worker.telemetry.metrics import Metrics
from worker.telemetry.watching import Watching

HOOK = Endpoint(url="https://hooks.example.com/all", secret_env=("A",))
OWNER = account(rate="100/s", burst=9, ttl=600, webhooks=(HOOK,))
SHARD = keys.prefix_of("acme")
THERE = f"acme|{HOOK.key}"
PENDING = (("pending", "acme"), ("hook-pending", THERE))
HOOK_NAMES = (
    *("hooks", "hook-leases", "hook-pending"),
    *(
        f"{name}:{THERE}"
        for name in ("hook", "hook-lane", "hook-open", "hook-log", "hook-lost", "hook-tries")
    ),
)
LONG = "é" * 255
NAMES = (
    *(
        SHARD + name
        for name in (
            "due",
            "expiry",
            "leases",
            "outbox",
            "relay",
            "pending",
            "strangers",
            "turn",
            *HOOK_NAMES,
        )
    ),
    *(f"{SHARD}{name}:acme" for name in ("lane", "limit", "aged")),
    *(f"{SHARD}{name}:{job_id}" for name in ("job", "payload", "stranger") for job_id in ("a", "long")),
    *(keys.claim(job_id) for job_id in ("a", "long")),
)
TEXTS = (f"{SHARD}relay", f"{SHARD}turn", f"{SHARD}payload:", "callworker:id:")
"""Keys that are strings."""


@dataclass
class Bench:
    """A ledger and the parts around it, on a clock that the test moves."""

    client: Any
    clock: StoredClock
    scripts: Scripts
    ledger: RedisLedger

    def go(self, *jobs: str) -> list[Lease]:
        leases = self.ledger.admit([one(job_id) for job_id in jobs])
        return [lease for lease in leases if isinstance(lease, Lease)]

    def wait(self, *jobs: str) -> None:
        self.ledger.admit([one(job_id, may_dial=False) for job_id in jobs])

    def end(self, *leases: Lease) -> list[Recorded]:
        return self.ledger.record([Ending(lease, OWNER, Tally(sent=1), placed(lease)) for lease in leases])


def one(job_id: str, owner: Account = OWNER, *, may_dial: bool = True) -> Application:
    fields = {"ref": LONG} if job_id == "long" else {}
    return Application(job(job_id, owner.name, **fields), owner, Source.CELERY, may_dial)


Act = Callable[[Bench], Any]
Scene = Callable[[Bench], Act]


def admitted(bench: Bench) -> Act:
    return lambda bench: bench.ledger.admit([one("a"), one("long", may_dial=False)])


def leased(bench: Bench) -> Act:
    bench.wait("a", "long")
    return lambda bench: bench.ledger.lease_due(9)


def renewed(bench: Bench) -> Act:
    (lease,) = bench.go("long")
    return lambda bench: bench.ledger.renew(lease, OWNER, Tally(sent=1, not_rung=1))


def given_up_its_slot(bench: Bench) -> Act:
    slow = account(rate="1/h", webhooks=(HOOK,))
    (lease,) = bench.ledger.admit([one("a", slow)])
    assert isinstance(lease, Lease)
    return lambda bench: bench.ledger.renew(lease, slow, Tally())


def ended(bench: Bench) -> Act:
    (lease, long) = bench.go("a", "long")
    return lambda bench: bench.end(lease, long)


def parked(bench: Bench) -> Act:
    (lease,) = bench.go("a")
    return lambda bench: bench.ledger.record([Parking(lease, Tally(), Reason.BACKOFF, 1.0)])


def held_and_parked(bench: Bench) -> Act:
    (lease,) = bench.go("a")
    return lambda bench: bench.ledger.record([Parking(lease, Tally(), Reason.HELD, hold_code="NO_POINTS")])


def kept(bench: Bench) -> Act:
    (lease,) = bench.go("a")
    bench.clock.advance(10)
    return lambda bench: bench.ledger.extend([lease])


def lost(bench: Bench) -> Act:
    bench.go("a", "long")
    bench.clock.advance(31)
    return lambda bench: bench.ledger.reclaim(9)


def expired(bench: Bench) -> Act:
    bench.wait("a", "long")
    bench.clock.advance(601)
    return lambda bench: bench.ledger.reclaim(9)


def rejected(bench: Bench) -> Act:
    event = rejection("a", "acme")
    return lambda bench: bench.ledger.reject("a", "acme", OWNER, event, "{}")


def turned_away(bench: Bench) -> Act:
    event = rejection("a", "acme")
    return lambda bench: bench.ledger.reject("a", "acme", None, event, "{}")


def in_conflict(bench: Bench) -> Act:
    bench.go("a")
    other = Application(job("a", code="999"), OWNER, Source.CELERY, True)
    return lambda bench: bench.ledger.admit([other])


def canceled(bench: Bench) -> Act:
    bench.wait("a", "long")

    def take_back(bench: Bench) -> None:
        Canceling(bench.ledger, accounts(OWNER)).take_back([Cancel("a"), Cancel("long")])

    return take_back


def canceled_early(bench: Bench) -> Act:
    bench.ledger.cancel([Cancel("a")])
    return lambda bench: bench.ledger.admit([one("a")])


def published(bench: Bench) -> Act:
    bench.end(*bench.go("a", "long"))
    outbox = RedisOutbox(bench.scripts)

    def publish(bench: Bench) -> None:
        for shard, batch in outbox.next().items():
            outbox.published(shard, len(batch))
        outbox.next()

    return publish


def taken(bench: Bench) -> Act:
    bench.end(*bench.go("a", "long"))
    return lambda bench: RedisDeliveries(bench.scripts, attempt_seconds=ATTEMPT_SECONDS).take(9)


def delivered(bench: Bench) -> Act:
    bench.end(*bench.go("a"))
    (delivery,) = RedisDeliveries(bench.scripts, attempt_seconds=ATTEMPT_SECONDS).take(9)
    return lambda bench: conclude(bench, Conclusion(delivery, Verdict.DELIVERED, "200", Health.GOOD))


def delivered_in_vain(bench: Bench) -> Act:
    bench.end(*bench.go("a"))
    (delivery,) = RedisDeliveries(bench.scripts, attempt_seconds=ATTEMPT_SECONDS).take(9)
    return lambda bench: conclude(bench, Conclusion(delivery, Verdict.AGAIN, "500", Health.BAD, 5.0))


def conclude(bench: Bench, conclusion: Conclusion) -> None:
    RedisDeliveries(bench.scripts, attempt_seconds=ATTEMPT_SECONDS).record([conclusion])


def declared(bench: Bench) -> Act:
    bench.wait("a")
    return lambda bench: bench.ledger.declare([account(rate="1/s")])


def held(bench: Bench) -> Act:
    bench.wait("a")
    return lambda bench: bench.scripts.run(ScriptCall("hold", SHARD, ("acme", "operator")))


def endpoint_enabled(bench: Bench) -> Act:
    delivered_in_vain(bench)(bench)
    acts = RedisEndpoints(bench.client)
    return lambda _: acts.enable(Destination("acme", HOOK.key))


def endpoint_disabled(bench: Bench) -> Act:
    bench.end(*bench.go("a"))
    acts = RedisEndpoints(bench.client)
    return lambda _: acts.disable(Destination("acme", HOOK.key))


def replayed(bench: Bench) -> Act:
    delivered(bench)(bench)
    acts = RedisEndpoints(bench.client)
    return lambda _: acts.replay(Destination("acme", HOOK.key), ["a"], 0.0)


SCENES = (
    admitted, leased, renewed, given_up_its_slot, ended, parked, held_and_parked, kept, lost, expired, rejected,
    turned_away, in_conflict, canceled, canceled_early, published, taken, delivered, delivered_in_vain, declared, held,
    endpoint_enabled, endpoint_disabled, replayed,
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What the store says of the two jobs, without values that depend on clock or chance."""

    states: dict[str, str]
    events: tuple[str, ...]
    deliveries: frozenset[str]
    pending: list[int]
    lane: frozenset[str]
    expiry: frozenset[str]
    leases: frozenset[str]
    in_flight: int
    hold: str
    pace: str

    @property
    def half_done(self) -> list[str]:
        """The jobs that are not where their state says, and what else does not fit together."""
        wrong = [name for name, state in self.states.items() if not self._fits(name, state)]
        flying = list(self.states.values()).count("dialling")
        return (
            wrong
            + ["in flight"] * (self.in_flight != flying)
            + ["pending"] * (self.pending != 2 * [len(self.deliveries)])
        )

    def _fits(self, name: str, state: str) -> bool:
        waits, in_hand = state == "waiting", state in ("dialling", "settling")
        over = state in ("placed", "rejected", "expired")
        where = (name in self.lane, name in self.expiry, name in self.leases, name in self.events)
        return where == (waits, waits, in_hand, over)


@pytest.fixture
def bench(client: redis.Redis, clock: StoredClock, ledger: RedisLedger) -> Bench:
    return Bench(client, clock, store_scripts(client), ledger)


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("scene", SCENES)
def test_a_wrong_key_leaves_nothing_half_done(bench: Bench, scene: Scene, key: str) -> None:
    """A job's step is done completely or not at all if any one key has another type, and once the key is right (E12).

    The log names the key once.
    """
    scene(bench)(bench)
    done = facts(bench)
    bench.client.flushdb()
    bench.clock.advance(0)
    act = scene(bench)
    before = facts(bench)
    spoil(bench, key)
    with capture_logs() as lines:
        for _ in range(2):
            with suppress(WrongKey, LeaseLost):
                act(bench)
    told = [line["redis_key"] for line in lines if line["event"] == "key.wrong_type"]
    assert told in ([], [key])
    restore(bench, key)
    if told:
        after = facts(bench)
        assert after.half_done == before.half_done == []
        assert all(
            state in (before.states.get(name), done.states[name]) for name, state in after.states.items()
        )
        bench.clock.advance(1.5)
        # The index of ages stops nothing, so the act may have been done before.
        with suppress(*([LeaseLost] if "aged:" in key else [])):
            act(bench)
    if told or not key.startswith(SHARD):
        assert facts(bench) == done


@pytest.mark.parametrize(
    "name", ["due", "expiry", "leases", "outbox", "relay", "hooks", "hook-leases", "deliveries", "pending"]
)
def test_a_wrong_key_of_a_shard_stops_no_other_shard(bench: Bench, name: str) -> None:
    """A look for work on all shards gets that of the others, and says which key is wrong (E12)."""
    there = account("globex", rate="100/s", burst=9, webhooks=(HOOK,))
    assert shard_of("globex") != shard_of("acme")
    bench.wait("a")
    spoil(bench, SHARD + name)
    assert len(bench.ledger.admit([one("there", there, may_dial=False)])) == 1
    leases = [lease for lease in bench.ledger.lease_due(9).leases if lease.job.account == "globex"]
    assert [lease.job.id for lease in leases] == ["there"]
    bench.clock.advance(31)
    found = [lease for lease in bench.ledger.reclaim(9) if lease.job.account == "globex"]
    assert [lease.job.id for lease in found] == ["there"]
    event = placed(found[0])
    assert bench.ledger.record([Ending(found[0], there, Tally(sent=1), event)]) == [Recorded.DONE]
    assert [row.body for rows in RedisOutbox(bench.scripts).next().values() for row in rows] == [event.body]
    assert [one.body for one in RedisDeliveries(bench.scripts, attempt_seconds=ATTEMPT_SECONDS).take(9)] == [
        event.body.encode()
    ]


def test_a_wrong_record_holds_up_no_other_job(bench: Bench) -> None:
    """The jobs behind it in the lane, in the index of leases and in a batch of outcomes go on (E12)."""
    bench.wait("a", "b", "c", "d")
    spoil(bench, f"{SHARD}job:a")
    leases = bench.ledger.lease_due(9).leases
    assert [lease.job.id for lease in leases] == ["b", "c", "d"]
    spoil(bench, f"{SHARD}job:b")
    assert bench.end(*leases[:2]) == [Recorded.BLOCKED, Recorded.DONE]
    bench.clock.advance(31)
    assert [lease.job.id for lease in bench.ledger.reclaim(1) + bench.ledger.reclaim(1)] == ["d"]


def test_a_wrong_lane_holds_up_no_other_account(bench: Bench) -> None:
    """Another account of the shard is served, even if the wrong lane is due earlier and one place is free (E12)."""
    there = account("account-34", rate="100/s")
    assert shard_of(there.name) == shard_of("acme")
    bench.wait("a")
    bench.ledger.admit([one("there", there, may_dial=False)])
    spoil(bench, f"{SHARD}lane:acme")
    assert [lease.job.id for lease in bench.ledger.lease_due(1).leases] == ["there"]


@pytest.mark.parametrize("key", [keys.FILES, f"{SHARD}lane:acme", f"{SHARD}limit:acme", f"{SHARD}due"])
def test_a_wrong_key_at_the_start_stops_no_other_account(bench: Bench, key: str) -> None:
    """A worker whose accounts' limits cannot all be declared leases the jobs of the others (E12)."""
    there = account("globex", rate="100/s")
    bench.ledger.admit([one("there", there, may_dial=False)])
    spoil(bench, key)
    watching = Watching(Metrics())
    limits = DeclaredLimits(
        bench.ledger, CurrentAccounts(accounts(OWNER, there)), AccountsFileTold(Metrics(), accounts())
    )
    dialler = Dialler(3, lambda *_: None, watching)
    leased: list[str] = []
    dialler.submit = lambda lease: leased.append(lease.job.id)  # type: ignore[method-assign]  # calls nobody
    with capture_logs() as lines:
        limits.turn()
        Releaser(bench.ledger, dialler, lambda: limits.current).turn()
    assert leased == ["there"] and [
        line["redis_key"] for line in lines if line["event"] == "key.wrong_type"
    ] == [key]


@pytest.mark.parametrize("name", ["outbox", "lane:acme", "limit:acme", "pending"])
def test_counts_of_what_waits_survive_a_wrong_key(bench: Bench, name: str) -> None:
    """Metrics and the look at the backlog leave out what cannot be counted, and tell the rest (E12)."""
    there = account("globex", rate="1/h")
    bench.ledger.admit([one("there", there, may_dial=False)])
    bench.end(*bench.go("a"))
    spoil(bench, SHARD + name)
    census = Census(bench.client)
    counts = {count.name: sum(count.waiting.values()) for count in census.accounts(["acme", "globex"])}
    assert counts.pop("acme", 0) == 0 and counts == {"globex": 1}
    assert census.unpublished() == (0 if name == "outbox" else 1)


def test_a_look_at_a_job_names_the_wrong_key(bench: Bench) -> None:
    """The command names the key as the worker's log does (E12)."""
    bench.wait("a")
    spoil(bench, f"{SHARD}limit:acme")
    with pytest.raises(WrongKey, match=re.escape(f"{SHARD}limit:acme")):
        JobViews(bench.client).find("a")


def facts(bench: Bench) -> Facts:
    read: Any = bench.client
    records = {name: read.hgetall(f"{SHARD}job:{name}") for name in ("a", "long")}
    limit = read.hgetall(f"{SHARD}limit:acme")
    rows = read.lrange(f"{SHARD}outbox", 0, -1)
    return Facts(
        states={name: record[b"state"].decode() for name, record in records.items() if record},
        events=tuple(
            sorted(
                json.loads(row.partition(b" ")[2])["data"]["id"] for row in rows if row.startswith(b"call.")
            )
        ),
        deliveries=members(bench, f"hook-lane:{THERE}") | leased_deliveries(bench),
        pending=[int(read.hget(SHARD + key, name) or 0) for key, name in PENDING],
        lane=members(bench, "lane:acme"),
        expiry=members(bench, "expiry"),
        leases=members(bench, "leases"),
        in_flight=int(limit.get(b"inflight", 0)),
        hold=limit.get(b"hold", b"").decode(),
        pace=limit.get(b"pace", b"").decode(),
    )


def leased_deliveries(bench: Bench) -> frozenset[str]:
    return frozenset(member.removeprefix(f"{THERE}|") for member in members(bench, "hook-leases"))


def members(bench: Bench, name: str) -> frozenset[str]:
    found: Any = bench.client.zrange(SHARD + name, 0, -1)
    return frozenset(member.decode() for member in found)


def spoil(bench: Bench, key: str) -> None:
    """Put a value of another type where ours is, which is kept aside."""
    if bench.client.exists(key):
        bench.client.rename(key, "test:aside")
    if key.startswith(TEXTS):
        bench.client.rpush(key, "meddled with")
    else:
        bench.client.set(key, "meddled with")


def restore(bench: Bench, key: str) -> None:
    bench.client.delete(key)
    if bench.client.exists("test:aside"):
        bench.client.rename("test:aside", key)
