"""Replaces a file of the operator at once: a reader finds the old text or the new one, never a part."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from worker.configuration.textfiles import read_text

NEW_MODE = 0o600


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace the text of a file by what `change` makes of it. Two programs that do so at once wait for each other.

    Mode and owner are kept, and a symbolic link goes on to lead to the file. A file that is absent or has no bytes has
    the text "". A new file has mode 0600. Raises UnreadableFile, OSError, and whatever `change` raises; nothing has
    changed then. Known weakness: a file system without locks on folders, as NFS can be, refuses with OSError.
    """
    real = path.resolve()
    with _locked(real.parent) as folder:
        before = _status(real)
        text = read_text(real) if before is not None and before.st_size else ""
        _replace(real, change(text).encode(), before)
        os.fsync(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes, before: os.stat_result | None) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            _as_before(path, file.fileno(), before)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _as_before(path: Path, handle: int, before: os.stat_result | None) -> None:
    """Give a new file the owner and mode of the old one."""
    if before is None:
        os.fchmod(handle, NEW_MODE)
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        _give(path, handle, before)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _give(path: Path, handle: int, before: os.stat_result) -> None:
    try:
        os.fchown(handle, before.st_uid, before.st_gid)
    except PermissionError as error:
        told = "the file belongs to another user or group: run this as its owner or as root"
        raise PermissionError(error.errno, told, str(path)) from None
