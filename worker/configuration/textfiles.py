"""Text files of the operator, as editors and secret stores write them: with a byte-order mark, or in the wrong form."""

from __future__ import annotations

import codecs
import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 1_000_000

_FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""UTF-32 comes first: its mark begins with that of UTF-16."""

_CAUSES = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist: a part of its path is not a folder",
    errno.EACCES: "may not be read by this user",
    errno.EISDIR: "is a folder",
    errno.EPERM: "may not be read by this user",
}


class UnreadableFile(ValueError):
    """The file cannot be read; the message is what to say after the file's name, as in "is empty"."""


class NotText(UnreadableFile):
    """The file can be read, and what is in it is no text."""


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte-order mark. Raises UnreadableFile or NotText: the cause."""
    return decoded(_bytes(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The document in a TOML file. Raises as `read_text`, and ValueError with one line for text that is not TOML."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error


def decoded(content: bytes) -> str:
    """The text of these bytes, without a byte-order mark. Raises NotText: the cause."""
    for mark, form in _FOREIGN_MARKS:
        if content.startswith(mark):
            raise NotText(f"is {form} text; save it as UTF-8")
    if b"\0" in content:
        raise NotText("is not UTF-8 text: it holds zero bytes, as UTF-16 text and binary files do")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotText(f"is not UTF-8 text, see line {line}; save it as UTF-8") from None
    if not text.strip():
        raise NotText("is empty")
    return text


def _bytes(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            _refuse_device(os.fstat(file.fileno()).st_mode)
            os.set_blocking(file.fileno(), True)
            content = file.read(MAX_FILE_BYTES + 1)
    except UnreadableFile:
        raise
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0) or error.strerror or type(error).__name__
        raise UnreadableFile(cause) from error
    except ValueError as error:
        raise UnreadableFile("is not a path") from error
    if len(content) > MAX_FILE_BYTES:
        raise NotText(f"is larger than {MAX_FILE_BYTES} bytes")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Opening a pipe would else wait for somebody who writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _refuse_device(mode: int) -> None:
    # A pipe is what a shell makes of <(command).
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UnreadableFile("is a device, not a file")
