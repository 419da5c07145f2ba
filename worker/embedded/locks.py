"""File locks that end with the process that took them, whatever that process forks or starts.

There are two locks in the server's folder. The process that owns the server holds `lock`. The server and its guard hold
`server.lock`: they inherit it when they start, so the kernel frees it only when both have ended. So two servers never
run on one append-only file, even while one of them ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from worker.embedded.errors import EmbeddedServerError


class PrivateFd:
    """A file descriptor that a forked child closes at once.

    A child with a copy of a lock or of the guard's pipe would keep both alive after the death of its parent.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        _private_fds.add(self)

    def close(self) -> None:
        """Close the descriptor. Closing it again does nothing."""
        _private_fds.discard(self)
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)


_private_fds: set[PrivateFd] = set()


def _close_in_child() -> None:
    for private in list(_private_fds):
        private.close()


os.register_at_fork(after_in_child=_close_in_child)


class FileLock:
    """An exclusive `flock` on a file. The file is created if necessary and never removed.

    Known weakness: on network file systems `flock` may be missing, or local to one machine. Unix sockets do not work
    there either.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: PrivateFd | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock. False in a forked child."""
        return self._fd is not None and self._fd.number >= 0

    def fileno(self) -> int:
        """The locked descriptor. A process that inherits it shares the lock."""
        return self._fd.number if self._fd else -1

    def acquire(self) -> bool:
        """Take the lock if it is free, without waiting. Returns whether it is held.

        Raises EmbeddedServerError if the file cannot be opened or locked.
        """
        if self.held:
            return True
        try:
            self._fd = self._open_locked()
        except OSError as error:
            raise EmbeddedServerError(f"{self.path} cannot be locked: {error.strerror}") from error
        return self.held

    def release(self) -> None:
        """Release the lock. Processes that inherited the descriptor keep it."""
        if self._fd is not None:
            self._fd.close()
        self._fd = None

    def _open_locked(self) -> PrivateFd | None:
        private = PrivateFd(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            fcntl.flock(private.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(private.number), self.path.stat()):
                return private
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:
            private.close()
            raise
        private.close()
        return None
