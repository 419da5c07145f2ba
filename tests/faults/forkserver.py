"""A process that has imported all that a worker needs, and forks workers instead of starting new interpreters.

Forking saves starting the interpreter and importing: a second of CPU for each worker. `worker.app`, which reads the
environment when imported, is imported by the worker itself, which then runs as usual (`celery -A worker.app worker` or
`callworker run`) in a session of its own, with its own environment, arguments and output. Linux only.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ctypes import CDLL
from pathlib import Path
from typing import Any, NoReturn, Self

PROJECT = Path(__file__).parents[2]
READY_SECONDS, STOP_SECONDS = 60.0, 20.0
MAX_MESSAGE_BYTES = 65536
NICENESS = 5
"""Of workers: where the CPU is short, servers and the harness, whose clocks judge, come first."""

NEEDED = (
    "billiard.connection", "billiard.pool", "celery.app.amqp", "celery.app.control", "celery.app.events",
    "celery.app.log", "celery.apps.worker", "celery.backends.base", "celery.bin.celery", "celery.concurrency.thread",
    "celery.fixups.django", "celery.loaders.app", "celery.worker.autoscale", "celery.worker.components",
    "celery.worker.consumer", "celery.worker.strategy", "encodings.idna", "kombu.transport.pyamqp",
    "kombu.transport.redis", "requests", "worker.celery_edge.application", "worker.celery_edge.beat",
    "worker.celery_edge.consumer", "worker.celery_edge.consuming", "worker.celery_edge.plain_intake",
    "worker.celery_edge.program", "worker.celery_edge.tasks", "worker.cli.run", "worker.cli.sandbox", "worker.sandbox",
    "worker.wiring",
)  # fmt: skip
"""All that a worker and a sandbox import, but `worker.app`."""

_SET_CHILD_SUBREAPER = 36


class Forked:
    """A forked process, to be used as a `subprocess.Popen`. The fork server sends its signals and reaps it, so that no
    signal reaches another process that got its id."""

    def __init__(self, pid: int, send: Callable[[int, int], None]) -> None:
        self.pid, self.frozen = pid, False
        self.woken_at = 0.0
        """When it last went on after a SIGSTOP (Unix seconds)."""
        self.returncode: int | None = None
        self._send, self._ended = send, threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        self._ended.wait(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            self._send(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def told(self, news: Mapping[str, Any]) -> None:
        """Note a change that the fork server saw."""
        if "frozen" in news:
            self.frozen = news["frozen"]
            if not self.frozen:
                self.woken_at = news["unix"]
        if "status" in news:
            self.frozen, self.returncode = False, news["status"]
            self._ended.set()


class ForkServer:
    """The harness' side of the fork server. A context manager that ends all forks and their children; thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock, self._born = threading.Lock(), threading.Condition()
        self._processes: dict[int, Forked] = {}
        self._newborn: Forked | None = None

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, (self._folder / "forkserver.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.forkserver"],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                cwd=PROJECT,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, name="forkserver", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(STOP_SECONDS)
        self._socket.close()

    def fork(
        self, arguments: Sequence[str], environ: Mapping[str, str], output: Path, *, first: bool = False
    ) -> Forked:
        """Start `python -m …`; `arguments` begin with `-m`. With `first` it has priority when CPU is short.

        Raises OSError if the process cannot be started.
        """
        order = {
            "arguments": list(arguments),
            "environ": dict(environ),
            "output": str(output),
            "niceness": 0 if first else NICENESS,
        }
        output.touch()
        with self._lock, self._born:
            self._socket.send(json.dumps(order).encode())
            if not self._born.wait_for(lambda: self._newborn is not None, READY_SECONDS):
                raise OSError("nothing was forked")
            newborn, self._newborn = self._newborn, None
            assert newborn is not None
            return newborn

    def _signal(self, pid: int, number: int) -> None:
        with suppress(OSError):
            self._socket.send(json.dumps({"pid": pid, "signal": int(number)}).encode())

    def _listen(self) -> None:
        while piece := self._socket.recv(MAX_MESSAGE_BYTES):
            news = json.loads(piece)
            with self._born:
                if "born" in news:
                    self._newborn = self._processes[news["pid"]] = Forked(news["pid"], self._signal)
                    self._born.notify_all()
                else:
                    self._processes[news["pid"]].told(news)
                if "status" in news:
                    del self._processes[news["pid"]]
        for process in list(self._processes.values()):
            process.told({"status": -signal.SIGKILL})


def main() -> None:
    """Serve the socket at standard input until it closes. In a child, run what was ordered."""
    CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    order = _Server(socket.socket(fileno=os.dup(0))).serve()
    if order is not None:
        _become(order)


class _Server:
    """Forks on request and reports what becomes of the children. Single-threaded, so that a forked child is intact."""

    def __init__(self, ear: socket.socket) -> None:
        self._ear = ear
        self._children: set[int] = set()
        self._wakes, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """Serve until the harness has left, then return None. In a child, return the order that it is to carry out."""
        while True:
            ready, _, _ = select.select([self._ear.fileno(), self._wakes], [], [])
            if self._wakes in ready:
                os.read(self._wakes, 4096)
                self._report()
            if self._ear.fileno() not in ready:
                continue
            piece = self._ear.recv(MAX_MESSAGE_BYTES)
            if not piece:
                self._end()
                return None
            order: dict[str, Any] = json.loads(piece)
            if "signal" in order:
                self._pass_on(order["pid"], order["signal"])
            elif not self._fork():
                return order

    def _pass_on(self, pid: int, number: int) -> None:
        if pid in self._children:
            os.kill(pid, number)

    def _fork(self) -> bool:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return False
        self._children.add(pid)
        self._tell(pid, born=True)
        return True

    def _report(self) -> None:
        """Report which children ended, froze or went on, and reap their orphans as well."""
        with suppress(ChildProcessError):
            while (seen := os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED))[0]:
                pid, status = seen
                if pid not in self._children:
                    continue
                if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                    self._tell(pid, frozen=os.WIFSTOPPED(status), unix=time.time())
                else:
                    self._children.remove(pid)
                    self._tell(pid, status=os.waitstatus_to_exitcode(status))

    def _tell(self, pid: int, **news: Any) -> None:
        self._ear.send(json.dumps({"pid": pid, **news}).encode())

    def _end(self) -> None:
        ends = time.monotonic() + STOP_SECONDS
        with suppress(ChildProcessError):
            while time.monotonic() < ends:
                for pid in _descendants(os.getpid()):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    time.sleep(0.01)


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(other for child in children for other in _descendants(child))]


def _become(order: Mapping[str, Any]) -> NoReturn:
    """Run as `python ARGUMENTS` would."""
    os.setsid()
    os.nice(order["niceness"])
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(order["environ"])
    _, module, *rest = order["arguments"]
    sys.argv = [module, *rest]
    _leave(_status_of(module))


def _status_of(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _leave(status: int) -> NoReturn:
    """End as an interpreter does, but without destroying the imported modules: that would first copy their memory."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
