"""Reads text files as editors and secret stores write them, with or without a byte-order mark."""

from __future__ import annotations

import codecs
import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from worker.configuration import plain_toml

MAX_FILE_BYTES = 1_000_000
MAX_TABLES_BYTES = 32_000_000
"""Of a TOML file: 50,000 accounts with a webhook each are 15 MB."""

_FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""UTF-32 comes first, because its mark begins with that of UTF-16."""

_CAUSES = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist: a part of its path is not a folder",
    errno.EACCES: "may not be read by this user",
    errno.EISDIR: "is a folder",
    errno.EPERM: "may not be read by this user",
}


Mark = tuple[int, int, int, int, int]
"""The facts by which a change of a file is noticed: its device, its inode, its size, and the times (ns) of its content
and its status."""


class UnreadableFile(ValueError):
    """The file cannot be read. The message follows the file's name, as in "is empty"."""


class NotText(UnreadableFile):
    """The file can be read, but its content is not text."""


def read_text(path: Path, most_bytes: int = MAX_FILE_BYTES) -> str:
    """Read a text file in UTF-8, and drop a byte-order mark. Raises UnreadableFile or NotText."""
    text = decoded(_bytes(path, most_bytes))
    if not text.strip():
        raise NotText("is empty")
    return text


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises as `read_text` does, and ValueError with one line for text that is not TOML."""
    text = read_text(path, MAX_TABLES_BYTES)
    if (document := plain_toml.read(text)) is not None:
        return document
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error


def mark(path: Path) -> Mark | None:
    """Return the mark of the file that `path` leads to, also by symbolic links; None if there is none to be seen.

    Known weakness: on NFS a change shows as late as the attributes are cached there.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def decoded(content: bytes) -> str:
    """Decode the bytes as UTF-8, and drop a byte-order mark. Raises NotText."""
    for mark, form in _FOREIGN_MARKS:
        if content.startswith(mark):
            raise NotText(f"is {form} text; save it as UTF-8")
    if b"\0" in content:
        raise NotText("is not UTF-8 text: it holds zero bytes, as UTF-16 text and binary files do")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotText(f"is not UTF-8 text, see line {line}; save it as UTF-8") from None


def _bytes(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            _refuse_device(os.fstat(file.fileno()).st_mode)
            os.set_blocking(file.fileno(), True)
            content = file.read(most + 1)
    except UnreadableFile:
        raise
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0) or error.strerror or type(error).__name__
        raise UnreadableFile(cause) from error
    except ValueError as error:
        raise UnreadableFile("is not a path") from error
    if len(content) > most:
        raise NotText(f"is larger than {most} bytes")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open the file without blocking: opening a pipe would otherwise wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _refuse_device(mode: int) -> None:
    # A shell makes a pipe for <(command).
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UnreadableFile("is a device, not a file")
