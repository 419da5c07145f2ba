"""Worker processes of one installation: started, armed, killed, frozen, and started again, as a supervisor would."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.conftest import free_port
from tests.faults.namespace import Namespace
from tests.faults.servers import ServerTrouble, wait_for
from tests.integration.stack import COMMANDS, Worker
from worker.failpoints import VARIABLE

READY_SECONDS, STOP_SECONDS = 60.0, 40.0
THREADS = 8


class Fleet:
    """All workers of one installation, by pid. A context manager: none is left after it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], namespace: Namespace | None = None) -> None:
        self._folder, self._environ, self._namespace = folder, environ, namespace
        self._numbers = itertools.count(1)
        self.standing: list[Worker] = []
        self.wakings: list[float] = []
        """When a frozen worker went on (Unix seconds)."""
        self.deaths = 0
        """Workers of the standing ones that ended by themselves, which nobody asked for."""

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.standing:
            worker.kill()

    def launch(self, orders: str = "", **settings: str) -> Worker:
        """A worker that may not be up yet, armed with `orders` (see worker/failpoints.py); one way to start in turn."""
        number = next(self._numbers)
        environ = {**self._environ, "METRICS_PORT": str(free_port()), VARIABLE: orders, **settings}
        command, log = COMMANDS[("celery", "run")[number % 2]], self._folder / f"worker-{number}.log"
        if self._namespace is None:
            return Worker(command, environ, log)
        inside = self._namespace
        environ["METRICS_HOST"] = inside.guest
        return Worker(command, environ, log, prefix=inside.command, host=inside.guest)

    def stand(self, count: int, **settings: str) -> None:
        """Have `count` standing workers, ready for work."""
        while len(self.standing) < count:
            self.standing.append(self.launch(**settings))
        for worker in self.standing:
            self._wait_until_ready(worker)
        while len(self.standing) > count:
            self.retire(self.standing.pop())

    def _wait_until_ready(self, worker: Worker) -> None:
        def ready_or_ended() -> bool:
            return worker.process.poll() is not None or worker.get("/readyz")[0] == 200

        try:
            wait_for(ready_or_ended, "a worker is ready", READY_SECONDS)
        except ServerTrouble as trouble:
            raise ServerTrouble(f"{trouble}: {worker.get('/readyz')[1]} {worker.output[-2000:]}") from None

    def supervise(self) -> None:
        """Put a new worker in the place of each standing one that has ended."""
        for place, worker in enumerate(self.standing):
            status = worker.process.poll()
            if status is not None:
                self.deaths += status != -signal.SIGKILL
                self.standing[place] = self.launch()

    def kill_one(self) -> None:
        """`kill -9` of any standing worker."""
        random.choice(self.standing).kill()

    def freeze_one(self) -> Worker:
        """SIGSTOP to any standing worker."""
        worker = random.choice(self.standing)
        worker.process.send_signal(signal.SIGSTOP)
        return worker

    def wake(self, worker: Worker) -> None:
        self.wakings.append(time.time())
        worker.process.send_signal(signal.SIGCONT)

    def retire(self, worker: Worker) -> int | None:
        """SIGTERM, and its exit status; None if it had to be killed."""
        worker.terminate()
        with suppress(Exception):
            return worker.exit_status(STOP_SECONDS)
        worker.kill()
        return None


def is_frozen(worker: Worker) -> bool:
    """Whether the process is stopped (Linux)."""
    try:
        stat = Path(f"/proc/{worker.process.pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")


def is_dead(worker: Worker) -> bool:
    return worker.process.poll() is not None


def has_raised(worker: Worker, point: str) -> bool:
    """Whether its armed `raise` was met: the one thing here that only the worker itself tells."""
    return f"failpoint {point} reached" in worker.output


def environ_for(folder: Path, **settings: str) -> dict[str, str]:
    """What a worker of this harness is started with: short waits, few threads."""
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **known,
        "CONCURRENCY": str(THREADS),
        "PROXSTOP_TIMEOUT": "1",
        "PROXSTOP_FORMAT": "json",
        "SHUTDOWN_GRACE": "5",
        "ACCOUNTS_FILE": str(folder / "accounts.toml"),
        **settings,
    }
