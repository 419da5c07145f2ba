"""The file that `--pidfile` names. It holds the process id while the worker runs, and prevents a second worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.platforms import LockFailed, Pidfile

from worker.errors import ConfigurationError


@contextmanager
def process_file(path: str | None) -> Iterator[None]:
    """Hold the file during the `with` block. Does nothing if no path is given.

    Raises ConfigurationError if a running process holds the file, if it cannot be written, or if it holds anything but
    a process id. A file that an ended process left behind is replaced.
    """
    if path is None:
        yield
        return
    lock = Pidfile(path)
    try:
        _take(lock)
    except (OSError, LockFailed) as error:
        raise ConfigurationError(f"--pidfile: {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        yield
    finally:
        lock.release()


def _take(lock: Any) -> None:
    try:
        holder = lock.read_pid()
    except ValueError:
        raise ConfigurationError(f"--pidfile: {lock.path}: does not hold a process id") from None
    if holder and not lock.remove_if_stale():
        raise ConfigurationError(f"--pidfile: {lock.path}: the running process {holder} holds it")
    lock.acquire()
