"""Folders, sockets and URLs of the embedded server."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import kombu.connection
import pytest
import redis

from worker.embedded import EmbeddedServerError, broker_url, default_state_dir, socket_url
from worker.embedded.folder import (
    DATA_FOLDER,
    MAX_SOCKET_PATH_BYTES,
    OWNER_LOCK,
    SHORT_ROOT,
    make_private,
    make_short,
    socket_path,
)

ODD_FOLDER = "/nowhere/a b%3;?#+é"
LONG_FOLDER = "/nowhere/" + "long-name/" * 12
kombu_connection: Callable[[str], Any] = kombu.connection.Connection


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_default_folder_follows_xdg_state_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute XDG_STATE_HOME is the parent of the default folder."""
    monkeypatch.setenv("XDG_STATE_HOME", "/var/states")
    assert default_state_dir() == Path("/var/states/callworker")


@pytest.mark.parametrize("value", [None, "", "relative/states"])
def test_default_folder_is_in_the_home_folder_otherwise(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default folder is under ~/.local/state if XDG_STATE_HOME is not absolute."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_STATE_HOME", value)
    assert default_state_dir() == Path("/home/someone/.local/state/callworker")


@pytest.mark.parametrize("folder", ["/nowhere/plain", ODD_FOLDER, LONG_FOLDER])
def test_urls_name_the_socket_to_both_libraries(folder: str) -> None:
    """redis-py and kombu both read the socket's very path from their URL, whatever characters it holds."""
    pool = redis.ConnectionPool.from_url(socket_url(folder))
    assert pool.connection_kwargs["path"] == str(socket_path(folder))

    channel_host = kombu_connection(broker_url(folder)).hostname
    assert unquote(channel_host.removeprefix("socket://")) == str(socket_path(folder))


def test_urls_are_computed_without_touching_the_folder(tmp_path: Path) -> None:
    """Asking for an address makes no folder."""
    socket_url(tmp_path / "state")
    broker_url(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_socket_lies_in_a_short_folder_of_the_user_when_the_path_is_too_long() -> None:
    """A folder too deep for a Unix socket gets a short one: always the same, and its own."""
    short = socket_path(LONG_FOLDER)
    assert short.parent.parent == SHORT_ROOT
    assert f"-{os.getuid()}-" in short.parent.name
    assert len(os.fsencode(short)) <= MAX_SOCKET_PATH_BYTES
    assert socket_path(LONG_FOLDER) == short
    assert socket_path(LONG_FOLDER + "other") != short


def test_socket_is_the_same_through_a_symbolic_link(tmp_path: Path) -> None:
    """Two names of one folder lead to one socket."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert socket_path(tmp_path / "link") == socket_path(tmp_path / "real")


def test_private_folder_is_made_with_mode_0700(tmp_path: Path) -> None:
    """A new folder is open to its owner alone."""
    make_private(tmp_path / "new" / "state")
    assert mode_of(tmp_path / "new" / "state") == 0o700


@pytest.mark.parametrize("content", [[], [OWNER_LOCK, "server.log"]])
def test_open_folder_that_is_empty_or_ours_is_closed(content: list[str], tmp_path: Path) -> None:
    """An open folder with nothing foreign in it is closed to others."""
    tmp_path.chmod(0o755)
    for name in content:
        (tmp_path / name).touch()
    make_private(tmp_path)
    assert mode_of(tmp_path) == 0o700


def test_open_folder_with_other_files_is_refused_unchanged(tmp_path: Path) -> None:
    """A folder that holds something else keeps its mode."""
    tmp_path.chmod(0o755)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(EmbeddedServerError, match="other files"):
        make_private(tmp_path)
    assert mode_of(tmp_path) == 0o755


def test_folder_that_others_could_write_to_is_refused_unchanged(tmp_path: Path) -> None:
    """The folder may contain another user's jobs, which would be dialled. Before, it was closed and used (E15)."""
    tmp_path.chmod(0o777)
    (tmp_path / OWNER_LOCK).touch()
    (tmp_path / DATA_FOLDER).mkdir()
    with pytest.raises(EmbeddedServerError, match="can be written to by other users"):
        make_private(tmp_path)
    assert mode_of(tmp_path) == 0o777


def test_empty_folder_that_others_could_write_to_is_closed(tmp_path: Path) -> None:
    """Nothing can have been put there."""
    tmp_path.chmod(0o777)
    make_private(tmp_path)
    assert mode_of(tmp_path) == 0o700


@pytest.mark.parametrize("name", ["dump.rdb", OWNER_LOCK, f"{DATA_FOLDER}/appendonly.aof.manifest"])
def test_file_that_leads_elsewhere_or_others_can_change_is_refused(tmp_path: Path, name: str) -> None:
    """A link would have the server write to, or read from, a file of somebody's choice (E15)."""
    folder = tmp_path / "state"
    (folder / DATA_FOLDER).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    (tmp_path / "elsewhere").touch()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedServerError, match="symbolic link"):
        make_private(folder)
    (folder / name).unlink()
    (folder / name).touch()
    (folder / name).chmod(0o666)
    with pytest.raises(EmbeddedServerError, match="can be written to"):
        make_private(folder)
    (folder / name).chmod(0o600)
    make_private(folder)


def test_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another user is refused even in a folder that is closed by now (E15)."""
    tmp_path.chmod(0o700)
    (tmp_path / "dump.rdb").touch()
    own = os.lstat

    def foreign(path: Any) -> Any:
        found = list(own(path))
        found[stat.ST_UID] += Path(path).name == "dump.rdb"
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", foreign)
    with pytest.raises(EmbeddedServerError, match="belongs to another user"):
        make_private(tmp_path)


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state folder nor the socket's folder may belong to somebody else."""
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(EmbeddedServerError, match="not a folder of this user"):
        make_private(tmp_path)
    with pytest.raises(EmbeddedServerError, match="not a folder of this user"):
        make_short(tmp_path / "redis.sock")


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A path that cannot become a folder is one readable line."""
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="cannot be created"):
        make_private(tmp_path / "file" / "state")


def test_short_folder_that_is_open_or_a_link_is_refused(tmp_path: Path) -> None:
    """Only a real folder of mode 0700 is trusted in a place that all users write to."""
    (tmp_path / "real").mkdir(mode=0o755)
    with pytest.raises(EmbeddedServerError, match="open to other users"):
        make_short(tmp_path / "real" / "redis.sock")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(EmbeddedServerError, match="not a folder of this user"):
        make_short(tmp_path / "link" / "redis.sock")
