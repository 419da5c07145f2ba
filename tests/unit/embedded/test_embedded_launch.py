"""The server's command line, its log, its locks and the patience with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from worker.embedded import EmbeddedServer, EmbeddedServerError, ServerBinary
from worker.embedded.folder import EPHEMERAL_MARK
from worker.embedded.launch import refuse_newer_data, server_command
from worker.embedded.locks import FileLock
from worker.embedded.probe import Answer, Deadline
from worker.embedded.serverlog import LOG_NAME, last_meaningful_line, open_log, read_from

BROKEN_LOG = """\
8859:C 22 Nov 2026 16:30:43.788 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo
8859:C 22 Nov 2026 16:30:43.788 # Redis version=7.0.15, bits=64, commit=00000000, pid=8859, just started
8859:M 22 Nov 2026 16:30:43.791 * Running mode=standalone, port=0.
8859:M 22 Nov 2026 16:30:43.791 # WARNING Memory overcommit must be enabled!
8859:M 22 Nov 2026 16:30:43.793 # Bad file format reading the append only file
8859:M 22 Nov 2026 16:30:43.794 * Removing the unix socket file.
8859:M 22 Nov 2026 16:30:43.795 # Redis is now ready to exit, bye bye...

"""


@pytest.fixture
def seven() -> ServerBinary:
    return ServerBinary(Path("/bin/redis-server"), (7, 0, 15))


def option(command: list[str], name: str) -> str:
    return command[command.index(f"--{name}") + 1]


def test_command_keeps_every_write_and_opens_no_port(seven: ServerBinary) -> None:
    """A server with a named folder keeps an append-only file, evicts nothing and has its socket only."""
    command = server_command(seven, Path("/nowhere"), ephemeral=False)
    wanted = {
        "port": "0",
        "unixsocket": "/nowhere/redis.sock",
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert command[0] == "/bin/redis-server"
    assert {name: option(command, name) for name in wanted} == wanted


def test_command_of_an_ephemeral_server_keeps_nothing(seven: ServerBinary) -> None:
    """An ephemeral server writes no file of its data."""
    command = server_command(seven, Path("/nowhere"), ephemeral=True)
    assert (option(command, "appendonly"), option(command, "save")) == ("no", "")


def test_server_that_would_overlook_newer_data_is_refused(tmp_path: Path, seven: ServerBinary) -> None:
    """A server of 6.2 does not see the files of 7.0, and must not start empty beside them."""
    old = ServerBinary(Path("/bin/redis-server"), (6, 2, 14))
    refuse_newer_data(old, tmp_path)
    (tmp_path / "appendonlydir").mkdir()
    refuse_newer_data(seven, tmp_path)
    with pytest.raises(EmbeddedServerError, match=r"7\.0 or newer"):
        refuse_newer_data(old, tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BROKEN_LOG, "Bad file format reading the append only file"),
        ("*** FATAL CONFIG FILE ERROR ***\nBad directive\n", "Bad directive"),
        ("1:M 22 Nov 2026 16:30:43.793 * Only a notice\n", "Only a notice"),
        ("", ""),
        ("x" * 1000, "x" * 300),
    ],
)
def test_last_meaningful_line_is_the_reason(text: str, line: str) -> None:
    """Greetings, farewells and time stamps are left out of the reason."""
    assert last_meaningful_line(text) == line


def test_long_log_is_set_aside_at_the_next_start(tmp_path: Path) -> None:
    """A log of more than 1 MB becomes server.log.1, a short one is continued."""
    (tmp_path / LOG_NAME).write_text("short\n")
    os.close(open_log(tmp_path))
    assert read_from(tmp_path, 0) == "short\n"
    (tmp_path / LOG_NAME).write_text("x" * 1_000_001)
    os.close(open_log(tmp_path))
    assert read_from(tmp_path, 0) == ""
    assert (tmp_path / "server.log.1").stat().st_size == 1_000_001


def test_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second lock on the file is refused until the first lets go."""
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    assert not first.held
    second.release()


def test_lock_on_a_removed_file_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was removed between opening and locking is not taken for the lock."""
    path = tmp_path / "lock"
    opened = os.open

    def open_then_remove(*args: object) -> int:
        descriptor = opened(*args)  # type: ignore[arg-type]
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_remove)
    assert not FileLock(path).acquire()


def test_lock_in_a_missing_folder_is_a_readable_error(tmp_path: Path) -> None:
    """The error of the system comes with the file's name."""
    with pytest.raises(EmbeddedServerError, match=r"missing/lock cannot be locked: No such file"):
        FileLock(tmp_path / "missing" / "lock").acquire()


def test_deadline_is_renewed_while_the_server_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence runs out after the given seconds, counted from the last sign of loading."""
    now_seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_seconds)
    deadline = Deadline(10.0)
    now_seconds = 109.0
    deadline.check(Answer.LOADING, "late")
    now_seconds = 118.0
    deadline.check(Answer.SILENT, "late")
    now_seconds = 119.5
    with pytest.raises(EmbeddedServerError, match="late"):
        deadline.check(Answer.SILENT, "late")


def test_folder_that_an_ephemeral_server_left_is_not_used(tmp_path: Path) -> None:
    """Throw-away data is never gone on with."""
    tmp_path.chmod(0o700)
    (tmp_path / EPHEMERAL_MARK).touch()
    with pytest.raises(EmbeddedServerError, match="has ended"):
        EmbeddedServer(tmp_path).start()
