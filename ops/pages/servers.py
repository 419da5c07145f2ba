"""Faults of workers, Redis and RabbitMQ."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.pages.fault import Fault
from ops.pages.scene import DISCOVERY_SECONDS, Scene, clock_ahead, freeze, thaw
from tests.faults.servers import wait_for

FAR_OFF_SECONDS = 600.0
BALLAST, BALLAST_PARTS, BALLAST_PART_BYTES, NEARLY_FULL = "pages:ballast", 96, 500_000, 0.87
"""What the steady load adds in the time of an alert is little beside this."""

UNREAD = 300
"""How many results the queue holds, where nobody reads them: less than what comes in the time of an alert."""

FULL_WITHIN_SECONDS = 60.0


@contextmanager
def _killed(scene: Scene) -> Iterator[None]:
    scene.workers[1].kill()
    yield
    scene.workers.pop(1)
    scene.launch()
    scene.watch()


@contextmanager
def _vanished(scene: Scene) -> Iterator[None]:
    lost = scene.workers.pop(1)
    scene.watch()
    time.sleep(DISCOVERY_SECONDS)
    lost.kill()
    yield
    scene.launch()
    scene.watch()


@contextmanager
def _frozen(scene: Scene) -> Iterator[None]:
    scene.workers[1].process.send_signal(signal.SIGSTOP)
    yield
    scene.workers[1].process.send_signal(signal.SIGCONT)


@contextmanager
def _clock_off(scene: Scene) -> Iterator[None]:
    scene.began_unix = scene.replace(**clock_ahead(FAR_OFF_SECONDS))
    yield
    scene.replace()


@contextmanager
def _other_accounts(scene: Scene) -> Iterator[None]:
    scene.began_unix = scene.replace(ACCOUNTS_FILE=str(scene.accounts_file("initech")))
    yield
    scene.replace()


@contextmanager
def _broken_accounts(scene: Scene) -> Iterator[None]:
    file = scene.accounts_file()
    sound = file.read_text(encoding="utf-8")
    file.write_text(sound + "[accounts.initech\n", encoding="utf-8")
    yield
    file.write_text(sound, encoding="utf-8")


@contextmanager
def _redis_killed(scene: Scene) -> Iterator[None]:
    scene.redis.kill()
    yield
    scene.redis.start()


@contextmanager
def _redis_hangs(scene: Scene) -> Iterator[None]:
    freeze(scene.redis.pid)
    try:
        yield
    finally:
        thaw(scene.redis.pid)


@contextmanager
def _redis_full(scene: Scene) -> Iterator[None]:
    scene.redis.fill_memory()
    yield
    scene.redis.free_memory()


@contextmanager
def _redis_nearly_full(scene: Scene) -> Iterator[None]:
    for _ in range(BALLAST_PARTS):
        scene.redis.client.rpush(BALLAST, bytes(BALLAST_PART_BYTES))
    time.sleep(2)  # for its buffers to be empty again
    used = int(scene.redis.client.info("memory")["used_memory"])
    scene.redis.client.config_set("maxmemory", int(used / NEARLY_FULL))
    yield
    scene.redis.free_memory()
    scene.redis.client.delete(BALLAST)


@contextmanager
def _disk_full(scene: Scene) -> Iterator[None]:
    scene.redis.fill_disk()
    yield
    scene.redis.free_disk()


@contextmanager
def _rabbit_stopped(scene: Scene) -> Iterator[None]:
    scene.rabbit.stop()
    yield
    scene.rabbit.start()


@contextmanager
def _rabbit_stopped_with_backlog(scene: Scene) -> Iterator[None]:
    scene.load.flood("flooded", 600)
    time.sleep(2)
    with _rabbit_stopped(scene):
        yield


@contextmanager
def _alarm(scene: Scene) -> Iterator[None]:
    scene.rabbit.control("set_vm_memory_high_watermark", "0")
    yield
    scene.rabbit.control("set_vm_memory_high_watermark", "0.9")


@contextmanager
def _unread(scene: Scene, overflow: str) -> Iterator[None]:
    scene.rabbit.limit_results(UNREAD, overflow)
    with scene.unread():
        yield
    scene.rabbit.lift_limit()


@contextmanager
def _refused(scene: Scene) -> Iterator[None]:
    """It begins when the queue is full."""
    with _unread(scene, "reject-publish"):
        wait_for(lambda: scene.rabbit.results() >= UNREAD, "the queue is full", FULL_WITHIN_SECONDS)
        yield


FAULTS = (
    Fault("worker-killed", "one of two workers is killed", _killed, "CallworkerDown"),
    Fault(
        "worker-vanished",
        "one of two workers is killed, and service discovery forgets it",
        _vanished,
        "CallworkerWorkersLost",
        own_seconds=15,
    ),
    Fault("worker-frozen", "one of two workers is stopped (SIGSTOP)", _frozen, "CallworkerDown"),
    Fault(
        "clock-off",
        "the clock of one worker is 10 min ahead",
        _clock_off,
        "CallworkerClockOff",
        own_seconds=2,
    ),
    Fault(
        "other-accounts",
        "one of two workers has an accounts file without initech",
        _other_accounts,
        "CallworkerAccountsFilesDiffer",
    ),
    Fault(
        "broken-accounts",
        "the accounts file is changed, and is not valid TOML any more",
        _broken_accounts,
        "CallworkerAccountsFileRefused",
    ),
    Fault("redis-killed", "Redis is killed", _redis_killed, "CallworkerStoreDown"),
    Fault(
        "redis-hangs",
        "Redis is stopped (SIGSTOP)",
        _redis_hangs,
        "CallworkerStoreDown",
        own_seconds=2,
        most_factor=5,
    ),
    Fault(
        "redis-full",
        "Redis has no memory left (maxmemory, noeviction)",
        _redis_full,
        "CallworkerStoreCannotWrite",
        own_seconds=2,
    ),
    Fault("redis-nearly-full", "Redis uses 87 % of its memory", _redis_nearly_full, "CallworkerRedisMemory"),
    Fault(
        "disk-full",
        "the disk of Redis' append-only file is full",
        _disk_full,
        "CallworkerStoreCannotWrite",
        own_seconds=2,
    ),
    Fault("rabbit-stopped", "RabbitMQ is stopped, no job waits", _rabbit_stopped, "CallworkerBrokerDown"),
    Fault(
        "rabbit-stopped-backlog",
        "RabbitMQ is stopped, and more jobs wait than RESULTS_BACKLOG",
        _rabbit_stopped_with_backlog,
        "CallworkerBrokerDown",
        settings={"RESULTS_BACKLOG": "200"},
    ),
    Fault("rabbit-alarm", "RabbitMQ is short of memory", _alarm, "CallworkerBrokerBlocked", own_seconds=2),
    Fault(
        "unread-reject",
        "nobody reads the results; the queue is full and rejects",
        _refused,
        "CallworkerDiallingPaused",
    ),
    Fault(
        "unread-drop",
        "nobody reads the results; the queue is full and drops the oldest",
        lambda scene: _unread(scene, "drop-head"),
        "CallworkerResultsUnread",
    ),
)
