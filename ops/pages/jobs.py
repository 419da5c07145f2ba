"""Faults of jobs, limits and webhooks, and the times without a fault."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.pages.fault import Fault, Put, nothing
from ops.pages.load import Change
from ops.pages.scene import HOOK_NAME, HOOKED, LIMITS, Scene
from tests.faults.servers import wait_for
from tests.integration.outside import Job, in_seconds
from tests.integration.stand_in import Reply, gives_ref

FLOOD = 2000
DEAD_LETTERS = "callworker:dead"
LONG_NIGHT_SECONDS = 1800.0
PAUSE_SECONDS = 60.0
LATE_WITHIN_SECONDS = 300.0


def _changed(change: Change) -> Put:
    @contextmanager
    def put(scene: Scene) -> Iterator[None]:
        kept, scene.load.change = scene.load.change, change
        yield
        scene.load.change = kept

    return put


def _only(account: str, **fields: object) -> Change:
    return lambda job: {**job, **fields} if job["account"] == account else job


def _soon(job: Job) -> Job:
    """A job whose time has run out once it is taken: its producer's clock or deadline is wrong."""
    return {**job, "expires_at": in_seconds(-1)} if job["account"] == "globex" else job


@contextmanager
def _dead(scene: Scene) -> Iterator[None]:
    for n in range(5):
        scene.load.send(f"this is no JSON {n}")
    yield
    scene.redis.client.delete(DEAD_LETTERS)


@contextmanager
def _flood(scene: Scene) -> Iterator[None]:
    scene.load.flood("flooded", FLOOD)
    yield


@contextmanager
def _beyond_limit(scene: Scene) -> Iterator[None]:
    """Three times as many jobs as the limit lets go. It begins when one of them has waited for half of its time."""
    half_seconds = LIMITS["narrow"]["ttl"] / scene.factor / 2
    scene.load.rates["narrow"] = 1.5 * scene.factor
    wait_for(
        lambda: _oldest_seconds(scene, "narrow") > half_seconds,
        "half of the time is over",
        LATE_WITHIN_SECONDS,
    )
    yield
    scene.load.rates["narrow"] = 0.0


def _oldest_seconds(scene: Scene, account: str) -> float:
    return max(worker.metric("oldest_waiting_seconds", account=account) for worker in scene.workers)


@contextmanager
def _hook_fails(scene: Scene) -> Iterator[None]:
    scene.receiver.answer = lambda _: 500
    yield
    scene.receiver.answer = lambda _: 200


@contextmanager
def _hook_flakes(scene: Scene) -> Iterator[None]:
    answers = itertools.cycle([200, 500, 200, 500, 200])
    scene.receiver.answer = lambda _: next(answers)
    yield
    scene.receiver.answer = lambda _: 200


@contextmanager
def _hook_gone(scene: Scene) -> Iterator[None]:
    scene.receiver.answer = lambda _: 410
    yield
    scene.receiver.answer = lambda _: 200
    scene.command("webhooks", "enable", f"{HOOKED}/{HOOK_NAME}")


@contextmanager
def _rolling(scene: Scene) -> Iterator[None]:
    """Restart one worker after the other, four times."""
    for _ in range(4):
        scene.fleet.retire(scene.workers.pop(0))
        scene.launch()
        scene.watch()
        time.sleep(PAUSE_SECONDS / scene.factor)
    yield


@contextmanager
def _quiet_night(scene: Scene) -> Iterator[None]:
    """Nothing to do but one job in ten minutes, and one of them is retried."""
    busy = dict(scene.load.rates)
    scene.load.rates.clear()
    failures = itertools.count()
    scene.answers["initech"] = lambda _: _at_first(next(failures))
    scene.load.flood("initech", 1)
    yield
    del scene.answers["initech"]
    scene.load.rates.update(busy)


def _at_first(turn: int) -> Reply:
    return Reply("", 503) if turn < 1 else gives_ref()


FAULTS = (
    Fault(
        "flood",
        f"{FLOOD:,} jobs at once for an account with ttl 120 and 2 calls a second",
        _flood,
        "CallworkerExpiringSoon",
        {"account": "flooded"},
        passes=True,
    ),
    Fault(
        "limit-too-low",
        "three times as many jobs as the limit lets go; one has waited for half of its ttl",
        _beyond_limit,
        "CallworkerExpiringSoon",
        {"account": "narrow"},
    ),
    Fault(
        "expired",
        "jobs of globex come with an expires_at that is past",
        _changed(_soon),
        "CallworkerExpired",
        {"account": "globex"},
    ),
    Fault(
        "rejected",
        "jobs of globex come with a PIN that is not valid",
        _changed(_only("globex", code="none")),
        "CallworkerRejected",
        {"account": "globex"},
    ),
    Fault("dead-letters", "five messages that are no JSON", _dead, "CallworkerDeadLetters"),
    Fault(
        "webhook-500",
        "a webhook endpoint answers 500 to everything",
        _hook_fails,
        "CallworkerWebhookBreakerOpen",
        {"account": HOOKED},
    ),
    Fault(
        "webhook-flaky",
        "a webhook endpoint answers 500 to two of five requests",
        _hook_flakes,
        "CallworkerWebhookFailures",
        {"account": HOOKED},
    ),
    Fault(
        "webhook-gone",
        "a webhook endpoint answers 410",
        _hook_gone,
        "CallworkerWebhookEndpointDisabled",
        {"account": HOOKED},
    ),
    Fault("normal-load", "30 min of normal load", nothing, lasts_seconds=LONG_NIGHT_SECONDS),
    Fault(
        "rolling-restarts",
        "each of two workers is restarted, four restarts in all",
        _rolling,
        most_factor=3,
        lasts_seconds=120,
    ),
    Fault(
        "quiet-night",
        "no jobs but one, which is retried once",
        _quiet_night,
        lasts_seconds=LONG_NIGHT_SECONDS,
    ),
)
