"""Starts one server under its guard, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from worker.embedded import guard, serverlog
from worker.embedded.binary import ServerBinary
from worker.embedded.errors import EmbeddedServerError
from worker.embedded.folder import DATA_FOLDER, socket_path
from worker.embedded.locks import FileLock, PrivateFd

GRACE_SECONDS = 10.0
"""The time that a server gets to end. The kernel has every confirmed write by then, so killing it loses nothing."""
_GUARD_SECONDS = GRACE_SECONDS + 5.0

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")
"""The variables that the server gets. It must not see the API keys in the program's environment."""


def server_command(binary: ServerBinary, folder: Path, *, ephemeral: bool) -> list[str]:
    """The server's command line: one Unix socket, no TCP, no eviction, and every write on disk.

    The append-only file holds plain commands and no RDB part: all versions of Redis and Valkey can read this form, so
    a newly installed server can continue with the folder of the previous one.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_path(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no" if ephemeral else "yes",
        "appendfsync": "everysec",
        "aof-use-rdb-preamble": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
    }
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return [str(binary.path), *words]


def refuse_newer_data(binary: ServerBinary, folder: Path) -> None:
    """Raise EmbeddedServerError if a server before 7.0 would not see the data that a newer one left here."""
    if binary.version < (7, 0) and (folder / DATA_FOLDER).exists():
        raise EmbeddedServerError(
            f"the data in {folder} needs a server of version 7.0 or newer, and {binary.path} is older"
        )


class Launched:
    """A server that this process started, with the guard that ends it when this process ends.

    `slot` is the server's own lock, which the caller holds. Guard and server inherit it, so the caller may release it
    as soon as this object exists.
    """

    def __init__(self, binary: ServerBinary, folder: Path, slot: FileLock, *, ephemeral: bool) -> None:
        self._folder = folder
        log_fd = serverlog.open_log(folder)
        self._log_offset = os.fstat(log_fd).st_size
        guard_end, own_end = os.pipe()
        self._pipe = PrivateFd(own_end)
        order = {
            "command": server_command(binary, folder, ephemeral=ephemeral),
            "lock_fd": slot.fileno(),
            "grace_seconds": GRACE_SECONDS,
            "remove": sorted({str(folder), str(socket_path(folder).parent)}) if ephemeral else [],
        }
        try:
            self._guard = _start_guard(order, guard_end, log_fd, slot.fileno())
        except OSError as error:
            self._pipe.close()
            raise EmbeddedServerError(
                f"the embedded server's guard did not start: {error.strerror}"
            ) from error
        finally:
            os.close(guard_end)
            os.close(log_fd)

    @property
    def alive(self) -> bool:
        """Whether the guard is running. It ends together with its server."""
        return self._guard.poll() is None

    def complaint(self) -> str:
        """The last meaningful line that this server or its guard logged."""
        text = serverlog.read_from(self._folder, self._log_offset)
        return (
            serverlog.last_meaningful_line(text)
            or f"it left no reason in {self._folder / serverlog.LOG_NAME}"
        )

    def stop(self) -> None:
        """End the server after it has written its data, and wait for that. It is killed after 10 seconds."""
        self._pipe.close()
        try:
            self._guard.wait(_GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()


def _start_guard(
    order: Mapping[str, object], stdin_fd: int, log_fd: int, lock_fd: int
) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return subprocess.Popen(
        # Run as a file with -I and -S: no import of the project, its libraries or the user's site.
        [sys.executable, "-I", "-S", guard.__file__, json.dumps(order)],
        stdin=stdin_fd,
        stdout=log_fd,
        stderr=log_fd,
        pass_fds=[lock_fd],
        start_new_session=True,
        cwd="/",
        env={**environment, "LC_ALL": "C"},
    )
