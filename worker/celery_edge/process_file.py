"""The file that `--pidfile` names: it holds this process's id while the worker runs, and keeps a second one out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.platforms import LockFailed, Pidfile

from worker.errors import ConfigurationError


@contextmanager
def process_file(path: str | None) -> Iterator[None]:
    """Hold the file, or nothing where no path is given.

    Raises ConfigurationError where another process runs that holds it, or it cannot be written. A file that was left
    behind is replaced; one that holds anything but a process's id is not.
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
        raise ConfigurationError(
            f"--pidfile: {lock.path}: holds something else than a process's id"
        ) from None
    if holder and not lock.remove_if_stale():
        raise ConfigurationError(f"--pidfile: {lock.path}: process {holder} holds it and runs")
    lock.acquire()
