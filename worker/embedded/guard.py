"""The small process between the program and its embedded server.

It starts the server and waits until the server or the program ends. If the server ends, the guard ends too, and the
program notices that. If the program ends, even by SIGKILL, the guard reads an end of file on standard input. Then it
ends the server, waits for it, and removes the folders in `remove`.

It runs as a script in its own session, so that no Ctrl-C reaches it or the server, and imports nothing of the project.
Its only argument is a JSON object: `command` (a list), `lock_fd` (an inherited descriptor that the server inherits
too), `grace_seconds` (from asking the server to end until killing it) and `remove` (a list of folders).

Known weakness: on systems other than Linux, a server whose guard was killed keeps running until a program starts on its
folder again.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PARENT_PIPE = 0


def main() -> None:
    """Run the server named in the first argument until it ends or the parent ends."""
    order = json.loads(sys.argv[1])
    os.umask(0o077)
    wake_fd = _wake_on_signals()
    server = subprocess.Popen(
        order["command"],
        stdin=subprocess.DEVNULL,
        pass_fds=[order["lock_fd"]],
        preexec_fn=_end_with_guard(os.getpid()),
    )
    if _parent_ended_first(server, wake_fd):
        _end(server, order["grace_seconds"])
        for folder in order["remove"]:
            shutil.rmtree(folder, ignore_errors=True)


def _wake_on_signals() -> int:
    """Return a descriptor that becomes readable when the server may have ended. Other signals have no effect.

    The signals are caught, not ignored: the server would inherit that and could not be ended while it starts.
    """
    wake_fd, signal_fd = os.pipe()
    os.set_blocking(signal_fd, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    return wake_fd


def _end_with_guard(guard_pid: int) -> Callable[[], None] | None:
    """Return a function for the child before it becomes the server. It asks Linux for SIGTERM when the guard dies."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != guard_pid:
            os._exit(1)

    return before_exec


def _parent_ended_first(server: subprocess.Popen[bytes], wake_fd: int) -> bool:
    while server.poll() is None:
        readable, _, _ = select.select([_PARENT_PIPE, wake_fd], [], [])
        if wake_fd in readable:
            os.read(wake_fd, 512)
        if _PARENT_PIPE in readable and not os.read(_PARENT_PIPE, 1):
            return True
    return False


def _end(server: subprocess.Popen[bytes], grace_seconds: float) -> None:
    server.terminate()
    try:
        server.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
