"""Workers whose Redis is away for longer than a lease, is full, has its clock set, or is no primary any more."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.contract.forwarder import Forwarder
from tests.integration.outside import Job, new_job
from tests.integration.stack import Stack
from tests.integration.stalls import Stalls
from tests.integration.stand_in import StandIn, gives_ref
from tests.processes import absent, wait_until
from tests.redis_server import RedisServer, fail_over, follow, redis_server

ACCOUNTS: dict[str, dict[str, Any]] = {
    "once": {"rate": "200/s", "burst": 100, "redials": 0},
    "steady": {"rate": "10/s", "burst": 2, "redials": 0},
}
LONGER_THAN_A_LEASE_SECONDS = 34.0
STEADY_RATE, TOGETHER = 10, 2
"""How many jobs of account `steady` may leave in a second, and at once."""
MAX_GAP_SECONDS = 15.0
"""For a busy machine; a lease lasts twice as long, and clocks are set by more."""

MakeStack = Callable[..., Stack]


@pytest.fixture
def make_stack(tmp_path: Path, provider: StandIn, exits: ExitStack) -> MakeStack:
    def make(server: RedisServer, url: str = "", **settings: str) -> Stack:
        settings = {"PROXSTOP_TIMEOUT": "5", **settings}
        stack = Stack(tmp_path, server.url, server.url, provider.url, ACCOUNTS, **settings)
        if url:
            stack.environ |= {"REDIS_URL": url, "BROKER_URL": url}
        return exits.enter_context(stack)

    return make


def assert_rung_once(stack: Stack, provider: StandIn, jobs: list[Job], seconds: float = 60.0) -> None:
    """Every call was placed, and every phone rang once."""
    events = stack.outside.wait((job["id"] for job in jobs), seconds)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert provider.rung(*(job["phone"] for job in jobs)) == [1] * len(jobs)


@pytest.mark.endurance
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_what_calls_came_to_while_redis_was_away_is_told(
    make_stack: MakeStack, provider: StandIn, exits: ExitStack, how: str
) -> None:
    """Longer than a lease lasts, with calls in flight that are answered meanwhile: each phone rings once. (A1)"""
    provider.script = lambda asked: gives_ref(wait_seconds=3.0)
    server = exits.enter_context(redis_server())
    away, back = (server.stop, server.start) if how == "stopped" else (server.freeze, server.thaw)
    stack = make_stack(server)
    for _ in range(2):
        stack.start("run")
    jobs = [new_job(f"away-{n}", "once") for n in range(20)]
    stack.outside.stream(*jobs)
    wait_until(lambda: len(provider.asked) >= 20, "all calls are in flight")
    with stack.outside.not_reading():
        away()
        time.sleep(LONGER_THAN_A_LEASE_SECONDS)
        back()
    assert_rung_once(stack, provider, jobs)


def test_a_redis_that_hangs_is_told_on_the_pages(make_stack: MakeStack, exits: ExitStack) -> None:
    """With the cause, and without it the other metrics. Their waits added up to more than a page has, so none came."""
    server = exits.enter_context(redis_server())
    worker = make_stack(server).start("run")
    server.freeze()
    try:
        pages = [(worker.get("/readyz"), worker.get("/metrics")) for _ in range(2)]
    finally:
        server.thaw()
    for (status, said), (scraped, text) in pages:
        assert status == 503 and "Redis cannot be used: no answer in time" in said
        assert "the broker cannot be used: no answer in time" in said
        assert scraped == 200 and "callworker_store_up 0.0" in text and "callworker_broker_up 0.0" in text
    wait_until(lambda: worker.get("/readyz")[0] == 200, "it is ready again")


def test_a_full_redis_dials_nothing_and_takes_every_outcome(
    make_stack: MakeStack, provider: StandIn, exits: ExitStack
) -> None:
    """The calls in flight get on record, no other begins; with memory again, each phone has rung once. (A2)"""
    provider.script = lambda asked: gives_ref(wait_seconds=1.0)
    server = exits.enter_context(redis_server())
    stack = make_stack(server)
    worker = stack.start("run")
    jobs = [new_job(f"full-{n}", "steady") for n in range(50)]
    stack.outside.stream(*jobs)
    wait_until(lambda: len(provider.asked) >= 15, "the load is on its way")
    admin = stack.outside.redis
    admin.config_set("maxmemory", "1")
    wait_until(lambda: in_hand(admin) == 0, "what was in flight is on record")
    begun = len(provider.asked)
    wait_until(lambda: worker.get("/readyz")[0] == 503, "/readyz is 503")
    wait_until(lambda: bool(worker.told("store.unavailable")), "the cause is told")
    time.sleep(1.0)
    assert len(provider.asked) == begun < len(jobs)
    assert len(worker.told("store.unavailable")) == 1 and "OOM" in worker.output
    admin.config_set("maxmemory", "0")
    assert_rung_once(stack, provider, jobs)


def in_hand(client: Any) -> int:
    return sum(int(client.zcard(f"callworker:{{{shard}}}:leases")) for shard in range(16))


def faketime() -> str:
    """The library that gives a process another clock, where Debian has it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(found[0]) if found else absent("libfaketime")


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [-90, 90])
def test_waiting_jobs_go_on_when_the_clock_is_set(
    make_stack: MakeStack,
    provider: StandIn,
    exits: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seconds: int,
) -> None:
    """At once, in their order, at their rate, and no call in flight is taken for lost. (B6)"""
    provider.script = lambda asked: gives_ref(wait_seconds=0.5)
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environ = {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with monkeypatch.context() as elsewhere:
        # libfaketime does not get on with jemalloc, on which a distribution's own Redis is built.
        elsewhere.setenv("PATH", "")
        server = exits.enter_context(redis_server(environ))
    stack = make_stack(server)
    stack.start("run")
    jobs = [new_job(f"set-{n}", "steady") for n in range(60)]
    with Stalls() as stalls:
        stack.outside.stream(*jobs)
        wait_until(lambda: len(provider.asked) >= 15, "the load is on its way")
        clock.write_text(f"{seconds:+d}")
        assert_rung_once(stack, provider, jobs)
    assert abs(stack.outside.redis.time()[0] - time.time() - seconds) < 30
    # What was sent within this time comes together, and in any order.
    late = math.ceil(STEADY_RATE * stalls.slack_seconds)
    order = [[job["phone"] for job in jobs].index(asked.phone) for asked in provider.asked]
    # Calls that leave together come in either order.
    assert all(abs(place - came) <= TOGETHER + late for came, place in enumerate(order))
    assert fullest_second([asked.unix for asked in provider.asked]) <= STEADY_RATE + TOGETHER + late
    assert widest_gap([asked.unix for asked in provider.asked]) < MAX_GAP_SECONDS


def fullest_second(moments: list[float]) -> int:
    return max(sum(1 for other in moments if 0 <= other - one < 1.0) for one in moments)


def widest_gap(moments: list[float]) -> float:
    return max(later - one for one, later in pairwise(sorted(moments)))


def test_a_failover_is_followed_without_anyones_help(
    make_stack: MakeStack, provider: StandIn, exits: ExitStack
) -> None:
    """The old primary stays connected, and refuses: that is said once, and jobs go on at the new one. (B1)"""
    old, new = (exits.enter_context(redis_server()) for _ in range(2))
    address = exits.enter_context(Forwarder(old.port))
    stack = make_stack(new, f"redis://127.0.0.1:{address.port}/0")
    first, second = (exits.enter_context(redis.Redis(port=server.port)) for server in (old, new))
    follow(second, first)
    worker = stack.launch("run")
    worker.wait_until_ready()
    fail_over(first, second)
    address.target = new.port
    jobs = [new_job(f"over-{n}", "steady") for n in range(20)]
    stack.outside.stream(*jobs)
    assert_rung_once(stack, provider, jobs)
    wait_until(lambda: len(worker.told("store.back")) == 1, "the way back is told")
    (told,) = worker.told("store.unavailable")
    assert "READONLY" in str(told)
