"""The look at the store: it tells of everything that a loop would find, and of nothing else."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
import redis

from tests.contract.hooks import SHARD, Lanes
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import LEASE_SECONDS, redis_ledger
from tests.doubles.samples import account, application
from worker.core.records import Lease
from worker.core.sight import Sight
from worker.engine.lookout import QUIET_SECONDS
from worker.redisio.turns import Turns
from worker.state import keys
from worker.state.look import TICK_SECONDS, Look
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox

NOTHING = Sight(inf, inf, inf, events=False)
SLOW = account("acme", "1/s", burst=1)


@pytest.fixture
def lanes(client: redis.Redis, clock: StoredClock) -> Lanes:
    return Lanes(client, clock)


@pytest.fixture
def look(lanes: Lanes, clock: StoredClock) -> Look:
    """A look whose last one found nothing, a moment ago."""
    made = Look(store_scripts(lanes.client), lanes.ledger.learn, clock)
    assert made() == NOTHING
    return made


def test_it_tells_when_a_waiting_job_is_due(lanes: Lanes, look: Look, clock: StoredClock) -> None:
    """And when it expires, which is later; also while it was quiet just now."""
    first, _ = lanes.ledger.admit([application("a", SLOW), application("b", SLOW)])
    assert isinstance(first, Lease)
    seen = look()
    assert 0.9 < seen.lanes <= 1.1 and seen.overdue == pytest.approx(LEASE_SECONDS, abs=0.1)
    assert (seen.deliveries, seen.events) == (inf, False)
    clock.advance(seen.lanes)
    assert look().lanes == 0
    assert [lease.job.id for lease in lanes.ledger.lease_due(9).leases] == ["b"]
    assert look().lanes == inf


def test_it_tells_of_expiry_and_of_lost_leases(lanes: Lanes, look: Look, clock: StoredClock) -> None:
    """Until the sweeper's script has found the last of them."""
    held = account("acme", "1/s", burst=1, ttl=2)
    lanes.ledger.admit([application("a", held), application("b", held, may_dial=False)])
    assert 1.9 < look().overdue <= 2
    clock.advance(2)
    assert look().overdue == 0
    assert [lease.job.id for lease in lanes.ledger.reclaim(9)] == ["b"]
    clock.advance(LEASE_SECONDS)
    assert look().overdue == 0
    assert {lease.job.id for lease in lanes.ledger.reclaim(9)} == {"a", "b"}
    assert look().overdue > 0


def test_it_tells_of_deliveries_and_of_their_lost_leases(
    lanes: Lanes, look: Look, clock: StoredClock
) -> None:
    """A delivery that comes again later is due then; one in flight when its lease has run out."""
    lanes.end("a")
    assert look()[2:] == (0.0, True)
    delivery = lanes.one()
    assert look().deliveries > 1
    lanes.again(delivery, 5.0)
    assert look().deliveries == pytest.approx(5, abs=1.1)
    clock.advance(6)
    lanes.one()
    clock.advance(look().deliveries)
    assert lanes.one().job_id == "a"


def test_events_are_told_until_they_are_published(lanes: Lanes, look: Look) -> None:
    """The relay need not ask while it tells of none."""
    lanes.end("a", hooks=())
    assert look() == NOTHING._replace(events=True)
    outbox = RedisOutbox(lanes.ledger._scripts)
    for shard, batch in outbox.next().items():
        outbox.published(shard, len(batch))
    assert look().events
    outbox.next()
    assert look() == NOTHING


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("due", NOTHING._replace(lanes=0)),
        ("expiry", NOTHING._replace(overdue=0)),
        ("leases", NOTHING._replace(overdue=0)),
        ("hooks", NOTHING._replace(deliveries=0)),
        ("hook-leases", NOTHING._replace(deliveries=0)),
        ("deliveries", NOTHING._replace(deliveries=0)),
        ("outbox", NOTHING._replace(events=True)),
    ],
)
def test_a_wrong_key_sends_the_loop_that_tells_of_it(
    lanes: Lanes, look: Look, name: str, seen: Sight
) -> None:
    """The look itself neither fails nor hides the others."""
    lanes.client.set(SHARD + name, "wrong")
    assert look() == seen


class Quiet:
    """An idle worker that looks at an empty store by its real clock, and has found nothing."""

    def __init__(self, client: redis.Redis) -> None:
        self.client, self.turns = client, Turns(lambda: None)
        scripts = store_scripts(client, turns=self.turns)
        self.look = Look(scripts, redis_ledger(scripts).learn)
        assert self.look() == NOTHING

    def scripts_of(self, looks: int) -> int:
        """Look so often, and return how many scripts that took."""
        before = self._scripts()
        for _ in range(looks):
            assert self.look() == NOTHING
        return self._scripts() - before

    def _scripts(self) -> int:
        stats: Any = self.client.info("commandstats")
        return int(stats["cmdstat_evalsha"]["calls"])

    def write_clock(self, seconds_ago: float) -> None:
        """Have the store's clock be as it was written down so long ago."""
        seconds, us = self.client.time()
        then = seconds * 1_000_000 + us - round(seconds_ago * 1_000_000)
        self.client.set(keys.CLOCK, f"{then} {then} 0")


@pytest.fixture
def quiet(client: redis.Redis) -> Quiet:
    return Quiet(client)


def test_quiet_times_cost_no_script_while_others_keep_the_clock_going(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.state.look.TICK_SECONDS", 3600)
    assert quiet.scripts_of(30) == 0


@pytest.mark.parametrize("seconds_ago", [TICK_SECONDS, -3600])
def test_the_script_runs_where_the_clock_is_old_or_wrong(quiet: Quiet, seconds_ago: float) -> None:
    """A pause of a second would stop it. Two looks of a lone worker are 0.4 s apart."""
    quiet.write_clock(seconds_ago)
    assert quiet.scripts_of(1) == 1 and TICK_SECONDS + QUIET_SECONDS <= 1


def test_a_lost_clock_is_made_anew(quiet: Quiet) -> None:
    quiet.client.delete(keys.CLOCK)
    assert quiet.scripts_of(1) == 1 and quiet.client.get(keys.CLOCK)


def test_quiet_looks_learn_turns_and_notice_a_state_that_went_back(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.state.look.TICK_SECONDS", 3600)
    quiet.client.set(SHARD + "turn", 7)
    assert quiet.scripts_of(1) == 0 and quiet.turns.known[SHARD] == 7
    quiet.client.set(SHARD + "turn", 6)
    seen = quiet.look()
    assert seen.something and quiet.turns.left_alone == {SHARD}


def test_a_turn_of_another_type_is_left_to_the_script(quiet: Quiet) -> None:
    """It passes over that shard, and the scripts that change it tell of the key."""
    quiet.client.lpush(SHARD + "turn", "wrong")
    assert quiet.scripts_of(2) == 2
