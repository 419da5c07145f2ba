"""EmbeddedServer: owns the server of a folder, or attaches to the one that another process owns."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Self

from worker.embedded import folder as folders
from worker.embedded.binary import find_binary
from worker.embedded.errors import EmbeddedServerError
from worker.embedded.launch import GRACE_SECONDS, Launched, refuse_newer_data
from worker.embedded.locks import FileLock
from worker.embedded.probe import Answer, Deadline, ask_to_leave, ping

ANSWER_SECONDS = 10.0
HANDOVER_SECONDS = GRACE_SECONDS + 5.0
"""How long a new server waits for an old one: its guard's whole grace, and the kill after that."""
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.2
_MAX_BACKOFF_SECONDS = 10.0

# Not structlog: commands do not configure it, so there it would print to standard output.
log = logging.getLogger(__name__)


class EmbeddedServer:
    """The embedded server of one folder, as one process sees it.

    `state_dir` is the folder that names the server and keeps its data (default: `default_state_dir()`). With
    `ephemeral` the server gets a new temporary folder, keeps nothing, and the folder is removed at the end.

    Of all processes that start a server on the same folder, one owns it and the others attach. A thread in each process
    watches it. The owner restarts a server that died. When the owner leaves or dies, one of the attached processes
    takes over, with the same data at the same address. An ephemeral server is never taken over.

    Known weakness: each takeover is a restart, so clients lose their connections and are refused for a moment.
    """

    def __init__(self, state_dir: str | os.PathLike[str] | None = None, *, ephemeral: bool = False) -> None:
        named = _fresh_name() if ephemeral else state_dir or folders.default_state_dir()
        self.state_dir = folders.real_folder(named)
        self._ephemeral = ephemeral
        self._socket = folders.socket_path(self.state_dir)
        self._lock = FileLock(self.state_dir / folders.OWNER_LOCK)
        self._launched: Launched | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """The server's address for redis-py."""
        return folders.socket_url(self.state_dir)

    @property
    def broker_url(self) -> str:
        """The server's address for kombu."""
        return folders.broker_url(self.state_dir)

    @property
    def owner(self) -> bool:
        """Whether this process owns the server now. This can become true while it is attached."""
        return self._lock.held

    def start(self) -> Self:
        """Attach to the folder's server, or start and own it, and return once it answers.

        Waits about 10 seconds for an answer, and longer only while the server reads its data or an old one ends.
        Starting again does nothing. Raises EmbeddedServerError, with the last line of the server's log if there is one.
        """
        if self._pid == os.getpid():
            return self
        self._pid, self._launched, self._watcher = os.getpid(), None, None
        self._stopping.clear()
        try:
            self._prepare()
            self._own_or_attach()
        except BaseException:
            self.stop()
            raise
        self._watch_in_background()
        return self

    def stop(self) -> None:
        """End the server after it has written its data if this process owns it, otherwise only detach.

        Stopping again does nothing. Does nothing in a forked child either: the server belongs to the parent.
        """
        if self._pid != os.getpid():
            return
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        self._end_server()
        if self._ephemeral:
            shutil.rmtree(self.state_dir, ignore_errors=True)
        self._lock.release()
        self._pid = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self) -> None:
        folders.make_private(self.state_dir)
        if self._socket.parent != self.state_dir:
            folders.make_short(self._socket)
        if self._ephemeral:
            (self.state_dir / folders.EPHEMERAL_MARK).touch()

    def _own_or_attach(self) -> None:
        deadline = Deadline(ANSWER_SECONDS)
        while not self._take_over():
            answer = ping(self._socket)
            if answer is Answer.READY:
                return
            deadline.check(answer, f"another process holds {self._lock.path}, but its server does not answer")
            self._pause()

    def _take_over(self) -> bool:
        """Become the owner if there is none, and start the server. Returns whether this process is the owner."""
        if not self._lock.acquire():
            return False
        try:
            self._launch()
        except BaseException:
            self._end_server()
            self._lock.release()
            raise
        return True

    def _launch(self) -> None:
        if self._of_another_ephemeral():
            raise EmbeddedServerError(f"the ephemeral server of {self.state_dir} has ended")
        binary = find_binary()
        refuse_newer_data(binary, self.state_dir)
        slot = self._free_slot()
        try:
            self._launched = Launched(binary, self.state_dir, slot, ephemeral=self._ephemeral)
        except OSError as error:
            raise EmbeddedServerError(f"no server can start in {self.state_dir}: {error.strerror}") from error
        finally:
            slot.release()
        self._await_ready(self._launched)

    def _free_slot(self) -> FileLock:
        """Wait until no server and no guard runs in the folder, and return the lock that ensures this."""
        slot = FileLock(self.state_dir / folders.SERVER_LOCK)
        deadline = Deadline(HANDOVER_SECONDS)
        while not slot.acquire():
            ask_to_leave(self._socket)
            deadline.check(Answer.SILENT, f"an earlier server still holds {slot.path} and does not end")
            self._pause()
        return slot

    def _await_ready(self, launched: Launched) -> None:
        deadline = Deadline(ANSWER_SECONDS)
        while (answer := ping(self._socket)) is not Answer.READY:
            if not launched.alive:
                raise EmbeddedServerError(f"the embedded server did not start: {launched.complaint()}")
            deadline.check(answer, f"the embedded server does not answer: {launched.complaint()}")
            self._pause()

    def _end_server(self) -> None:
        if self._launched is not None:
            self._launched.stop()
        self._launched = None

    def _pause(self) -> None:
        if self._stopping.wait(_POLL_SECONDS):
            raise EmbeddedServerError("stopped while the embedded server was starting")

    def _of_another_ephemeral(self) -> bool:
        return not self._ephemeral and (self.state_dir / folders.EPHEMERAL_MARK).exists()

    def _watch_in_background(self) -> None:
        if not self._of_another_ephemeral():
            self._watcher = threading.Thread(target=self._watch, name="embedded-server", daemon=True)
            self._watcher.start()

    def _watch(self) -> None:
        wait_seconds = _WATCH_SECONDS
        while not self._stopping.wait(wait_seconds):
            try:
                self._revive()
                wait_seconds = _WATCH_SECONDS
            # After any error the watcher must go on: without it the folder would never get a server again.
            except Exception as error:
                wait_seconds = min(wait_seconds * 2, _MAX_BACKOFF_SECONDS)
                self._report(error)

    def _revive(self) -> None:
        if self._launched is not None and self._launched.alive:
            return
        event = "embedded.restarted" if self.owner else "embedded.taken_over"
        self._end_server()
        if self._take_over():
            log.warning(event, extra={"state_dir": str(self.state_dir)})

    def _report(self, error: Exception) -> None:
        if not self._stopping.is_set():
            log.error("embedded.restart_failed", extra={"error": str(error)})


def _fresh_name() -> Path:
    return Path(tempfile.gettempdir(), f"callworker-{secrets.token_hex(8)}")
