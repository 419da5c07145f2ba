"""Files of the operator: read with a byte-order mark, and each cause of not being read is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from worker.configuration.textfiles import MAX_FILE_BYTES, UnreadableFile, read_text, read_toml


def cause(path: Path) -> str:
    with pytest.raises(UnreadableFile) as problem:
        read_text(path)
    return str(problem.value)


@pytest.mark.parametrize("content", [b"gr\xc3\xbcn\n", b"\xef\xbb\xbfgr\xc3\xbcn\n"])
def test_text_is_read_without_its_byte_order_mark(tmp_path: Path, content: bytes) -> None:
    """A byte-order mark, as some editors write it, is no part of a text (C1)."""
    (tmp_path / "f").write_bytes(content)
    assert read_text(tmp_path / "f") == "grün\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("key".encode("utf-16"), "is UTF-16 text"),
        (b"\xfe\xff" + "key".encode("utf-16-be"), "is UTF-16 text"),
        ("key".encode("utf-32"), "is UTF-32 text"),
        ("key".encode("utf-16-le"), "is not UTF-8 text"),
        (b"ok\ncaf\xe9", "is not UTF-8 text, see line 2"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"x" * (MAX_FILE_BYTES + 1), "is larger than"),
    ],
)
def test_content_that_is_no_text_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    """The line says in which form the file was saved (C1)."""
    (tmp_path / "f").write_bytes(content)
    assert cause(tmp_path / "f").startswith(expected)


def test_missing_folder_and_device_are_each_named(tmp_path: Path) -> None:
    """Each of the three causes has its own word (C1)."""
    assert cause(tmp_path / "none") == "does not exist"
    assert cause(tmp_path) == "is a folder"
    assert cause(Path(os.devnull)) == "is a device, not a file"
    assert cause(Path("a\0b")) == "is not a path"


def test_file_of_others_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error distinguishes a file that this user may not read from a missing one (C1)."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert cause(tmp_path / "f") == "may not be read by this user"


def test_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """A shell's <(command) is a pipe, and stays a way to hand over a file."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write("key\n")
    assert read_text(Path(f"/dev/fd/{reading}")) == "key\n"
    os.close(reading)


def test_pipe_that_nobody_writes_to_does_not_hold_up_the_start(tmp_path: Path) -> None:
    """A named pipe without a writer is an empty file, not a wait without end."""
    os.mkfifo(tmp_path / "pipe")
    assert cause(tmp_path / "pipe") == "is empty"


def test_wrong_toml_is_one_line(tmp_path: Path) -> None:
    """The line holds the parser's own words, with the place."""
    (tmp_path / "f").write_text("a = = 1")
    with pytest.raises(ValueError, match="line 1") as problem:
        read_toml(tmp_path / "f")
    assert not isinstance(problem.value, UnreadableFile)
