"""A whole installation on loopback: Redis, RabbitMQ, the provider, two workers under load, and what watches them."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import kombu

from ops.pages.load import Load
from ops.pages.monitoring import Monitoring
from tests.faults.proxy import Proxy
from tests.faults.redis_server import FAKETIME, Redis
from tests.faults.results import ResultsReader
from tests.faults.servers import PROJECT, Rabbit, ServerTrouble
from tests.faults.workers import Fleet, environ_for
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Worker, accounts_toml, api_key, key_name
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref

WORKERS = 2
DISCOVERY_SECONDS = 8.0
"""Prometheus looks at changed targets each 5 s, whatever the factor: so a target goes first, and then its worker."""

JOBS_A_SECOND = {"acme": 1.2, "globex": 0.3, "initech": 0.1}
"""The steady load, to be multiplied by the factor."""

LIMITS: dict[str, dict[str, int]] = {
    "acme": {"rate": 180, "burst": 20, "concurrency": 50, "ttl": 600},
    "globex": {"rate": 60, "burst": 10, "concurrency": 20, "ttl": 600},
    "initech": {"rate": 60, "burst": 10, "concurrency": 20, "ttl": 600},
    "flooded": {"rate": 120, "burst": 10, "concurrency": 20, "ttl": 120},
    "narrow": {"rate": 30, "burst": 1, "concurrency": 20, "ttl": 600},
}
"""Each account's limits. Rates, here in jobs per minute, are multiplied by the factor, times to live divided."""

HOOKED, HOOK_NAME = "globex", "events"
ANSWER_SECONDS = 0.05
TIMEOUT_SECONDS = 15.0
WEBHOOK_WAITS_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
SETTINGS = {"CONCURRENCY": "50", "SHUTDOWN_GRACE": "5"}
VARIABLE = "HOOK_SECRET"
SECRET = "whsec_" + base64.b64encode(b"0" * 24).decode()

Answer = Callable[[Asked], Reply]


class Broker(Rabbit):
    """A RabbitMQ that can be told things."""

    def control(self, *words: str) -> None:
        """Run a command of `rabbitmqctl`. Raises ServerTrouble."""
        self._control(*words)

    def limit_results(self, length: int, overflow: str) -> None:
        """Let queue `results` hold so many messages; `overflow` is what RabbitMQ does with more."""
        policy = f'{{"max-length":{length},"overflow":"{overflow}"}}'
        self.control("set_policy", "-p", self.vhost, "--apply-to", "queues", "unread", "^results$", policy)

    def results(self) -> int:
        """Return how many events queue `results` holds."""
        with kombu.Connection(self.url) as connection:
            return int(connection.default_channel.queue_declare("results", passive=True).message_count)

    def lift_limit(self) -> None:
        self.control("clear_policy", "-p", self.vhost, "unread")


class Scene:
    """The installation. A context manager that starts it. `answers` has what the provider answers to an account."""

    def __init__(self, folder: Path, factor: float, settings: Mapping[str, str]) -> None:
        self.folder, self.factor, self._settings = folder, factor, settings
        self.answers: dict[str, Answer] = {}
        self.began_unix = 0.0
        """When the fault began, if that is not the end of putting it in."""

        self._reading = ExitStack()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            self._start_servers(running)
            self._start_workers(running)
            self._start_monitoring(running)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def workers(self) -> list[Worker]:
        return self.fleet.standing

    def launch(self, **settings: str) -> Worker:
        """Start one more worker; return once it is ready. Prometheus scrapes it only after `watch`."""
        worker = self.fleet.launch(cold=False, **settings)
        self.fleet.standing.append(worker)
        self.fleet.stand(len(self.fleet.standing))
        return worker

    def replace(self, **settings: str) -> float:
        """Put a worker with these settings in the place of the last one, without a time in which a target is down.

        Returns when the new one was ready (Unix seconds).
        """
        former = self.workers[-1]
        self.launch(**settings)
        ready_unix = time.time()
        self.workers.remove(former)
        self.watch()
        time.sleep(DISCOVERY_SECONDS)
        self.fleet.retire(former)
        return ready_unix

    def watch(self) -> None:
        """Let Prometheus scrape all standing workers."""
        self.monitoring.watch([worker.port for worker in self.workers])

    def accounts_file(self, *without: str) -> Path:
        """Write an accounts file that lacks some accounts, and return its path."""
        path = self.folder / "-".join(["accounts", *without, "toml"])
        path.write_text(accounts_toml(self._accounts(without)), encoding="utf-8")
        return path

    def command(self, *words: str) -> None:
        """Run a command of `callworker`, as an operator would. Raises ServerTrouble."""
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli", *words],
            env=self._environ,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerTrouble(f"callworker {' '.join(words)}: {done.stderr}")

    @contextmanager
    def unread(self) -> Iterator[None]:
        """Within this context, nobody reads the results."""
        self._reading.close()
        try:
            yield
        finally:
            self._read()

    def _start_servers(self, running: ExitStack) -> None:
        self.redis = running.enter_context(Redis(self._subfolder("redis")))
        self.rabbit = running.enter_context(Broker(self._subfolder("rabbit")))
        self.provider = running.enter_context(StandIn(self._answer))
        self.line = running.enter_context(Proxy(int(self.provider.url.rpartition(":")[2])))
        self.receiver = running.enter_context(Receiver())

    def _start_workers(self, running: ExitStack) -> None:
        self._environ = environ_for(
            self.folder,
            REDIS_URL=self.redis.url,
            BROKER_URL=self.rabbit.url,
            PROXSTOP_URL=f"http://127.0.0.1:{self.line.port}",
            PROXSTOP_TIMEOUT=f"{TIMEOUT_SECONDS / self.factor:g}",
            WEBHOOK_SCHEDULE=" ".join(
                f"{max(round(each / self.factor), 1)}s" for each in WEBHOOK_WAITS_SECONDS
            ),
            ACCOUNTS_FILE=str(self.accounts_file()),
            **{VARIABLE: SECRET},
            **{key_name(name): api_key(name) for name in LIMITS},
            **{**SETTINGS, **self._settings},
        )
        self.fleet = running.enter_context(Fleet(self._subfolder("workers"), self._environ))
        self.fleet.stand(WORKERS)
        running.callback(self._reading.close)
        self._read()
        rates = {name: rate * self.factor for name, rate in JOBS_A_SECOND.items()}
        self.load = running.enter_context(Load(self.rabbit.url, rates))

    def _start_monitoring(self, running: ExitStack) -> None:
        self.monitoring = Monitoring(self._subfolder("monitoring"), self.factor)
        self.watch()
        running.enter_context(self.monitoring)

    def _read(self) -> None:
        self._reading.enter_context(ResultsReader(self.rabbit.url, lambda *_: None))

    def _answer(self, asked: Asked) -> Reply:
        answer = next(
            (one for name, one in self.answers.items() if asked.form.get("key") == api_key(name)), None
        )
        return answer(asked) if answer else gives_ref(ANSWER_SECONDS)

    def _accounts(self, without: Sequence[str]) -> dict[str, dict[str, Any]]:
        accounts: dict[str, dict[str, Any]] = {
            name: {
                **limits,
                "rate": f"{limits['rate'] * self.factor:.0f}/m",
                "ttl": round(limits["ttl"] / self.factor),
            }
            for name, limits in LIMITS.items()
            if name not in without
        }
        if HOOKED in accounts:
            accounts[HOOKED]["webhooks"] = [
                local_hook(f"{self.receiver.url}/events", name=HOOK_NAME, secret_env=VARIABLE)
            ]
        return accounts

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


def clock_ahead(seconds: float) -> dict[str, str]:
    """Return the settings of a worker whose clock is so far ahead. Raises ServerTrouble without libfaketime."""
    if FAKETIME is None:
        raise ServerTrouble("libfaketime is not installed")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": f"{seconds:+.0f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def freeze(pid: int) -> None:
    """Stop a server and all processes of its group."""
    os.killpg(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    os.killpg(pid, signal.SIGCONT)
