"""Worker processes of one installation: started, armed, killed, frozen, and started again, as a supervisor would."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.faults.forkserver import Forked, ForkServer
from tests.faults.namespace import Place
from tests.faults.servers import ServerTrouble, wait_for
from tests.faults.windows import Waking
from tests.integration.stack import COMMANDS, Spawn, Worker, spawn
from tests.processes import free_port
from worker.failpoints import VARIABLE

READY_SECONDS, STOP_SECONDS = 60.0, 40.0
THREADS = 8


class Fleet:
    """All workers of one installation. A context manager that kills all of them when it ends."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        places: Sequence[Place] = (),
        forks: ForkServer | None = None,
    ) -> None:
        """Make a fleet whose workers `forks` forks. Without it, or in networks of their own (`places`, in turn), each
        starts a new interpreter."""
        self._folder, self._environ, self._places, self._forks = folder, environ, places, forks
        self._numbers = itertools.count(1)
        self._launched: list[Worker] = []
        self.standing: list[Worker] = []
        self.wakings: list[Waking] = []
        self.deaths = 0
        """The number of standing workers that ended without being killed or told to end."""

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._launched:
            worker.kill()

    def launch(
        self, orders: str = "", by: Spawn | None = None, /, *, cold: bool = False, **settings: str
    ) -> Worker:
        """Start a worker armed with `orders` (see worker/failpoints.py), by each command in turn. It may not be up yet.

        A `cold` worker is a new interpreter, not forked. `by` starts one of another version.
        """
        number = next(self._numbers)
        environ = {**self._environ, "METRICS_PORT": str(free_port()), VARIABLE: orders, **settings}
        command, log = COMMANDS[("celery", "run")[number % 2]], self._folder / f"worker-{number}.log"
        self._launched = [worker for worker in self._launched if not is_dead(worker)]
        place = self._places[number % len(self._places)] if self._places else None
        worker = (
            Worker(command, environ, log, spawn=by) if by else self._start(command, environ, log, cold, place)
        )
        self._launched.append(worker)
        return worker

    def _start(
        self, command: Sequence[str], environ: dict[str, str], log: Path, cold: bool, place: Place | None
    ) -> Worker:
        if place is not None:
            environ["METRICS_HOST"] = place.guest
            return Worker(command, environ, log, spawn=partial(spawn, prefix=place.command), host=place.guest)
        if self._forks is None or cold:
            return Worker(command, environ, log)
        return Worker(command, environ, log, spawn=self._forks.fork)

    def stand(self, count: int, *, cold: int = 0) -> None:
        """Start or retire workers until `count` stand ready for work, the first `cold` of them not forked."""
        while len(self.standing) < count:
            self.standing.append(self.launch(cold=len(self.standing) < cold))
        for worker in self.standing:
            self.wait_until_ready(worker)
        while len(self.standing) > count:
            self.retire(self.standing.pop())

    def wait_until_ready(self, worker: Worker) -> None:
        """Raises ServerTrouble with the end of its log if it does not become ready."""

        def ready_or_ended() -> bool:
            return worker.process.poll() is not None or worker.get("/readyz")[0] == 200

        try:
            wait_for(ready_or_ended, "a worker is ready", READY_SECONDS)
        except ServerTrouble as error:
            raise ServerTrouble(f"{error}: {worker.get('/readyz')[1]} {worker.output[-2000:]}") from None

    def supervise(self) -> None:
        """Put a new worker in the place of each standing one that has ended."""
        for place, worker in enumerate(self.standing):
            status = worker.process.poll()
            if status is not None:
                self.deaths += status != -signal.SIGKILL
                self.standing[place] = self.launch()

    def kill_one(self) -> None:
        """Kill a random standing worker with SIGKILL."""
        random.choice(self.standing).kill()

    def freeze_one(self) -> Worker:
        """Stop a random standing worker with SIGSTOP, and return it."""
        worker = random.choice(self.standing)
        worker.process.send_signal(signal.SIGSTOP)
        return worker

    def wake(self, worker: Worker) -> None:
        worker.process.send_signal(signal.SIGCONT)

    def retire(self, worker: Worker) -> int | None:
        """End a worker with SIGTERM and return its exit status; None if it had to be killed."""
        worker.terminate()
        with suppress(Exception):
            return worker.exit_status(STOP_SECONDS)
        worker.kill()
        return None


def is_frozen(worker: Worker) -> bool:
    """Return whether the process is stopped (Linux)."""
    if isinstance(worker.process, Forked):
        return worker.process.frozen
    try:
        stat = Path(f"/proc/{worker.process.pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")


def woken_at(worker: Worker) -> float:
    """Return when a frozen worker went on (Unix seconds): now, unless the fork server saw it."""
    return worker.process.woken_at if isinstance(worker.process, Forked) else time.time()


def is_dead(worker: Worker) -> bool:
    return worker.process.poll() is not None


def has_reached(worker: Worker, point: str) -> bool:
    """Return whether the worker has logged that it came to an armed point."""
    return f"failpoint {point} reached" in worker.output


def environ_for(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a worker of this harness: short waits, few threads."""
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
