"""Whatever workers do to the lanes of webhook endpoints: nothing is lost, doubled or out of count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests import depth
from tests.contract.hooks import LEASE_SECONDS, SHARD, Lanes
from tests.doubles.clocks import StoredClock, read_time_from_keys
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Conclusion, Delivery, Destination, Effect, Health, Verdict
from worker.redisio.connection import connect
from worker.state.deliveries import count_pending
from worker.state.endpoints import RedisEndpoints

HOOKS = (
    Endpoint(url="https://h.example/one", secret_env=("A",), name="one"),
    Endpoint(url="https://h.example/two", secret_env=("A",), name="two", concurrency=1),
    Endpoint(url="https://h.example/six", secret_env=("A",), name="six", rate="2/s", concurrency=9),
)
PLACES = {hook.key: hook.concurrency for hook in HOOKS}
MOMENTS = st.sampled_from((0.0, 0.01, 0.4, 1.0, 5.0, LEASE_SECONDS, 3600.0, 86400.0))
RATE, PERIOD_SECONDS, BURST = 2, 1.0, 1


class LanesMachine(RuleBasedStateMachine):
    """Jobs end, workers lease and conclude, leases run out, clocks move, operators act."""

    lanes: Lanes
    acts: RedisEndpoints

    def __init__(self) -> None:
        super().__init__()
        self.lanes.client.flushdb()
        self.lanes.clock.advance(0)
        self.made = 0
        self.hands: list[tuple[Delivery, float]] = []
        self.over: Counter[tuple[str, str]] = Counter()
        self.slots: list[float] = []
        self.holders: dict[tuple[str, str], int] = {}

    @rule(
        count=st.integers(1, 6), hooks=st.lists(st.sampled_from(HOOKS), min_size=1, unique_by=lambda h: h.key)
    )
    def jobs_end(self, count: int, hooks: list[Endpoint]) -> None:
        self.lanes.end(*(f"job-{self.made + n}" for n in range(count)), hooks=hooks)
        self.made += count

    @rule(most=st.integers(1, 40), worker=st.integers(0, 1), quick=st.booleans())
    def a_worker_takes(self, most: int, worker: int, quick: bool) -> None:
        store = (self.lanes.store, self.lanes.other)[worker]
        taken = store.take(most, quick=[Destination("acme", hook.key) for hook in HOOKS] if quick else ())
        assert len(taken) <= most
        self.holders |= {(one.endpoint_key, one.job_id): worker for one in taken}
        ends = self.lanes.clock() + LEASE_SECONDS
        self.hands += [(delivery, ends) for delivery in taken]
        self.slots += [delivery.slot.opens for delivery in taken if delivery.slot is not None]

    @rule(
        which=st.integers(0, 1000),
        verdict=st.sampled_from(Verdict),
        health=st.sampled_from(Health),
        wait_seconds=MOMENTS,
        disable=st.sampled_from(("", "", "", "gone")),
    )
    def a_worker_concludes(
        self, which: int, verdict: Verdict, health: Health, wait_seconds: float, disable: str
    ) -> None:
        if not self.hands:
            return
        delivery, _ = self.hands.pop(which % len(self.hands))
        if verdict is Verdict.DELIVERED:
            health = Health.GOOD
        elif health is Health.GOOD:
            health = Health.BAD
        reason = disable if health in (Health.BAD, Health.SLOW) else ""
        (effect,) = self.lanes.store.record(
            [Conclusion(delivery, verdict, "word", health, wait_seconds, disable=reason)]
        )
        assert isinstance(effect, Effect)
        if effect.recorded and verdict in (Verdict.DELIVERED, Verdict.GIVEN_UP):
            self.over[delivery.endpoint_key, delivery.job_id] += 1

    @rule(hook=st.sampled_from(HOOKS), enable=st.booleans())
    def an_operator_switches(self, hook: Endpoint, enable: bool) -> None:
        (self.acts.enable if enable else self.acts.disable)(Destination("acme", hook.key))

    @rule(hook=st.sampled_from(HOOKS), most=st.integers(0, 5), seconds=MOMENTS)
    def an_operator_replays(self, hook: Endpoint, most: int, seconds: float) -> None:
        """What is over is sent again, and what waits is not, even if it is named beside it."""
        jobs = [job for key, job in self.over if key == hook.key][:most]
        waiting = [job for key, job in self._open() if key == hook.key]
        where = Destination("acme", hook.key)
        assert self.acts.replay(where, [*jobs, *waiting], seconds) == len(jobs)
        for job in jobs:
            del self.over[hook.key, job]

    @rule(seconds=MOMENTS)
    def time_passes(self, seconds: float) -> None:
        self.lanes.clock.advance(seconds)

    @invariant()
    def everything_is_somewhere_once(self) -> None:
        """Each delivery is in its lane, in flight or over; and the counts say so."""
        lanes: Counter[tuple[str, str]] = Counter()
        client: Any = self.lanes.client
        flying, held = Counter[str](), Counter[tuple[str, int]]()
        for hook in HOOKS:
            for member in client.zrange(f"{SHARD}hook-lane:acme|{hook.key}", 0, -1):
                lanes[hook.key, member.decode().split("|")[0]] += 1
        for member in client.zrange(SHARD + "hook-leases", 0, -1):
            _, key, job, _ = member.decode().split("|")
            lanes[key, job] += 1
            flying[key] += 1
            held[key, self.holders[key, job]] += 1
        assert set(lanes.values()) | set(self.over.values()) <= {1}
        assert not lanes.keys() & self.over.keys()
        assert self.lanes.pending() == sum(count_pending(client).values()) == sum(lanes.values())
        assert lanes.keys() == set(self._open())
        for key, places in PLACES.items():
            assert flying[key] == int(client.hget(f"{SHARD}hook:acme|{key}", "inflight") or 0)
            # A worker makes no more requests at once than there are places, however many it holds.
            assert sum(min(held[key, worker], places) for worker in (0, 1)) <= places

    def _open(self) -> Iterator[tuple[str, str]]:
        """The deliveries whose ages are told."""
        for hook in HOOKS:
            found: Any = self.lanes.client.zrange(f"{SHARD}hook-open:acme|{hook.key}", 0, -1)
            yield from ((hook.key, job.decode()) for job in found)

    @invariant()
    def numbers_have_no_gap(self) -> None:
        for hook in HOOKS:
            rows: Any = self.lanes.client.zrange(f"{SHARD}hook-log:acme|{hook.key}", 0, -1, withscores=True)
            assert [score for _, score in rows] == list(range(1, len(rows) + 1))

    @invariant()
    def rate_is_kept(self) -> None:
        """No window of the rate's period holds more slots than rate and burst together."""
        for begin in self.slots:
            assert sum(begin <= slot <= begin + PERIOD_SECONDS for slot in self.slots) <= RATE + BURST

    def teardown(self) -> None:
        """What is left reaches good endpoints, however things stand, unless they were disabled."""
        idle = False
        while not idle:
            taken = self.lanes.take(64)
            for delivery in taken:
                self.lanes.delivered(delivery)
            flying = self.lanes.client.exists(SHARD + "hook-leases")
            idle = not taken and not flying and self.lanes.store.due_seconds > 3 * 86400
            self.lanes.clock.advance(LEASE_SECONDS if flying else min(self.lanes.store.due_seconds, 3600.0))
        for hook in HOOKS:
            if not self.lanes.client.hget(f"{SHARD}hook:acme|{hook.key}", "disabled"):
                assert not self.lanes.client.exists(f"{SHARD}hook-lane:acme|{hook.key}")


@pytest.fixture
def lanes(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lanes]:
    read_time_from_keys(monkeypatch)
    with connect(redis_url) as client:
        yield Lanes(client, StoredClock(client))


@pytest.mark.timeout(120 * depth.DEPTH)
def test_lanes_keep_every_delivery(lanes: Lanes) -> None:
    """Any sequence of steps, with leases that run out and conclusions that come late."""
    LanesMachine.lanes, LanesMachine.acts = lanes, RedisEndpoints(lanes.client)
    run_state_machine_as_test(
        LanesMachine,
        settings=settings(
            max_examples=depth.examples(30),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
