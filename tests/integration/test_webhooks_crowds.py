"""Webhooks under load: crowds of receivers that hang, workers that stop or are killed, secrets that change."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration import misbehaviour
from tests.integration.doors import Door, Doors
from tests.integration.hostile_scene import FAST, SECRETS
from tests.integration.outside import new_job
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from worker.configuration.replacing import rewrite
from worker.configuration.secret_files import rotated

HANGING, CONCURRENCY = 700, 4
KIB_PER_REQUEST = 200
WAITING = 1000
FEW = 8
"""Fewer failures than open an endpoint's breaker."""
KILLS, KILL_SECONDS = 10, 1.0
PATIENCE_SECONDS = 90
"""The leases of a killed worker's calls run out after 30 s, and those of its deliveries after 25 s."""

Tables = list[dict[str, Any]]
Start = Callable[..., Stack]


@pytest.fixture
def doors() -> Iterator[Doors]:
    with Doors() as doors:
        yield doors


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Starts an installation whose account `acme` has these webhooks. Its Redis is its broker if none is given."""
    with StandIn() as provider, ExitStack() as exits:

        def start(tables: Tables, broker_url: str = redis_url, **more: str) -> Stack:
            accounts = {"acme": {**FAST, "webhooks": tables}}
            settings = {"SHUTDOWN_GRACE": "1", **SECRETS, **more}
            made = Stack(tmp_path, redis_url, broker_url, provider.url, accounts, **settings)
            return exits.enter_context(made)

        yield start


def has_all(door: Door, count: int) -> Callable[[], bool]:
    return lambda: set(door.sequences) >= set(range(1, count + 1))


def check(stack: Stack, door: Door, count: int) -> None:
    """Each event has come, always as the same bytes under the same number, and genuine; no number is anybody else's."""
    found: dict[str, set[tuple[int, bytes]]] = {}
    for post in door.posts:
        found.setdefault(post.event_id, set()).add((post.sequence, post.body))
        post.verify(SECRETS["HOOK_1"])
    assert all(len(each) == 1 for each in found.values())
    events = {delivered.event["id"]: delivered.body for (delivered, *_) in stack.outside.delivered.values()}
    assert {name: body for name, each in found.items() for _, body in each} == events
    assert sorted(number for each in found.values() for number, _ in each) == list(range(1, count + 1))


def status(worker: Worker, field: str) -> int:
    """A number of the worker's process as Linux gives it: threads, or KiB of memory."""
    text = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0])


@pytest.mark.alone
def test_receivers_that_hang_cost_memory_in_proportion_and_no_thread(
    start: Start, doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are more of them than they could fill places of a worker, and a good receiver still has every event."""
    hanging, good = doors.open("hanging", misbehaviour.hangs), doors.open("good", misbehaviour.good)
    tables = [good.hook(), *(hanging.hook(f"h{n}", events=["call.placed"]) for n in range(HANGING))]
    stack = start(tables)
    worker = stack.start("celery")
    stack.outside.send(new_job("rejected", code="1"))
    wait_until(has_all(good, 1), "the good receiver has the first event")
    threads, kib = status(worker, "Threads"), status(worker, "VmRSS")
    stack.outside.send(*(new_job(f"job-{n}") for n in range(2 * CONCURRENCY)))
    wait_until(lambda: hanging.most_in_flight >= HANGING, "every hanging receiver has a request")
    each = (status(worker, "VmRSS") - kib) / hanging.most_in_flight
    stack.outside.send(*(new_job(f"more-{n}") for n in range(20)))
    wait_until(has_all(good, 21 + 2 * CONCURRENCY), "all events at the good receiver")
    after = status(worker, "Threads")
    with capsys.disabled():
        print(
            f"\n{hanging.most_in_flight} requests hang: {each:.0f} KiB each, {after} threads, {threads} before"
        )
    # What resolves names, and what asks Redis for a call, are a bounded number of threads that begin when needed.
    assert each < KIB_PER_REQUEST and after <= threads + 20
    assert not [line for line in worker.told("webhook.delivered") if line["endpoint"] != "good"]


def test_deliveries_that_wait_at_one_receiver_hold_up_no_other(start: Start, doors: Doors) -> None:
    """With 1,000 events waiting at a receiver that hangs, and as many at one that drips, the good one has all."""
    hanging, dripping = (
        doors.open("hanging", misbehaviour.hangs),
        doors.open("drips", misbehaviour.drips_body),
    )
    good = doors.open("good", misbehaviour.good)
    stack = start([door.hook() for door in (hanging, dripping, good)])
    worker = stack.start("celery")
    stack.outside.send(*(new_job(f"job-{n}") for n in range(WAITING)))
    wait_until(has_all(good, WAITING), "all events at the good receiver")
    stack.outside.wait(f"job-{n}" for n in range(WAITING))
    assert not [line for line in worker.told("webhook.delivered") if line["endpoint"] != "good"]
    check(stack, good, WAITING)
    assert hanging.most_in_flight == CONCURRENCY


@pytest.mark.parametrize("how", ["terminate", pytest.param("kill", marks=pytest.mark.endurance)])
def test_waiting_deliveries_survive_their_workers(start: Start, doors: Doors, how: str) -> None:
    """What waited when all workers ended, and what was in flight if they were killed, is delivered by the next one."""
    door, slow = doors.open("down", misbehaviour.failing), doors.open("slow", misbehaviour.hangs)
    used = [door, slow] if how == "kill" else [door]
    stack = start([each.hook() for each in used])
    workers = [stack.start("celery"), stack.start("run")]
    stack.outside.send(*(new_job(f"job-{n}") for n in range(FEW)))
    wait_until(
        lambda: len(door.posts) >= FEW and all(each.posts for each in used), "an attempt at every receiver"
    )
    for worker in workers:
        getattr(worker, how)()
    for worker in workers:
        worker.exit_status()
    door.answer = slow.answer = misbehaviour.good
    stack.start("celery")
    for each in used:
        wait_until(has_all(each, FEW), f"all events at {each.name}", PATIENCE_SECONDS)
        stack.outside.wait(f"job-{n}" for n in range(FEW))
        check(stack, each, FEW)


@pytest.mark.endurance
@pytest.mark.timeout(240)
@pytest.mark.parametrize("broker", ["redis_url", "amqp_url"])
def test_workers_that_are_killed_at_random_lose_no_event(
    start: Start, doors: Doors, request: pytest.FixtureRequest, broker: str
) -> None:
    """Three workers under load, one killed each second: both receivers have every event, the same in each repeat."""
    good, other = doors.open("good", misbehaviour.good), doors.open("other", misbehaviour.good)
    stack = start([good.hook(), other.hook()], request.getfixturevalue(broker))
    for _ in range(3):
        stack.start("celery")
    stop, names = threading.Event(), list[str]()
    sender = threading.Thread(target=send_until, args=(stack, stop, names))
    sender.start()
    chance = random.Random(13)
    for _ in range(KILLS):
        stop.wait(KILL_SECONDS)
        chance.choice([worker for worker in stack.workers if worker.process.poll() is None]).kill()
        stack.launch("celery")
    stop.set()
    sender.join()
    stack.outside.wait(names, PATIENCE_SECONDS)
    for door in (good, other):
        wait_until(has_all(door, len(names)), f"all events at {door.name}", PATIENCE_SECONDS)
        check(stack, door, len(names))
    wait_until(lambda: not kept_for(stack, good) and not kept_for(stack, other), "no place is taken any more")


def kept_for(stack: Stack, door: Door) -> list[str]:
    """What Redis still has of deliveries to an endpoint that are not over, and of places that they take."""
    client: Any = stack.outside.redis
    waiting, leases = client.keys(f"*:hook-lane:acme|{door.name}"), client.keys("*:hook-leases")
    (state,) = client.keys(f"*:hook:acme|{door.name}")
    fields = [name for name in ("inflight", "opened", "disabled") if client.hexists(state, name)]
    return [*map(str, waiting), *map(str, leases), *fields]


def send_until(stack: Stack, stop: threading.Event, names: list[str]) -> None:
    """Send jobs, some at a time, and note their ids."""
    for turn in itertools.count():
        some = [new_job(f"job-{turn}-{n}") for n in range(5)]
        stack.outside.send(*some)
        names += [job["id"] for job in some]
        if stop.wait(0.05):
            return


def test_rotation_leaves_no_event_unsigned_for_old_and_new_subscribers(
    start: Start, doors: Doors, tmp_path: Path
) -> None:
    """While events flow, a new secret begins to sign beside the old one, and no event is without the old one's."""
    old, new = SECRETS["HOOK_1"], SECRETS["HOOK_2"]
    file, good = tmp_path / "secrets", doors.open("good", misbehaviour.good)
    file.write_text(f"{old}\n")
    stack = start([good.hook(secret_file=str(file))])
    stack.start("celery")
    stop, names = threading.Event(), list[str]()
    sender = threading.Thread(target=send_until, args=(stack, stop, names))
    sender.start()
    wait_until(lambda: len(good.posts) > 20, "events flow")
    until = datetime.now(UTC) + timedelta(days=1)
    rewrite(file, lambda text: rotated(text, new, datetime.now(UTC), until))
    wait_until(lambda: " " in good.posts[-1].headers["webhook-signature"], "both secrets sign")
    stop.set()
    sender.join()
    wait_until(has_all(good, len(names)), "all events")
    for post in good.posts:
        post.verify(*([old, new] if " " in post.headers["webhook-signature"] else [old]))
    assert {json.loads(post.body)["data"]["id"] for post in good.posts} == set(names)
