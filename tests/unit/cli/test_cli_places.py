"""The choice of the server that commands use: this shell's, or that of `callworker dev`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.cli import places
from worker.embedded import EmbeddedServer
from worker.errors import StoreUnavailable
from worker.settings import Settings


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server as `callworker dev` has it, for the state folder `tmp_path / "state"`."""
    with EmbeddedServer(tmp_path / "state-dev"):
        yield tmp_path / "state-dev"


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"CALLWORKER_STATE_DIR": str(tmp_path / "state"), **environ})


def test_server_of_dev_is_found_with_its_accounts(tmp_path: Path, dev: Path) -> None:
    """Commands use dev's server and accounts if nothing is set and no other embedded server runs (D3)."""
    found = places.here(settings(tmp_path))
    assert (found.state_dir, found.accounts_file) == (dev, dev / "accounts.toml")
    places.store(settings(tmp_path)).close()


def test_accounts_that_are_named_stay(tmp_path: Path, dev: Path) -> None:
    """ACCOUNTS_FILE of this shell wins over that of dev."""
    assert places.here(settings(tmp_path, ACCOUNTS_FILE="mine.toml")).accounts_file == Path("mine.toml")


@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_server_that_is_named_is_never_exchanged_for_that_of_dev(
    tmp_path: Path, dev: Path, name: str
) -> None:
    """Jobs that are meant do not go to the sandbox because somebody plays on the same machine."""
    named = settings(tmp_path, **{name: "redis://127.0.0.1:1/0"})
    assert places.here(named) == named


def test_worker_s_own_server_wins_over_that_of_dev(tmp_path: Path, dev: Path) -> None:
    """Beside a worker's embedded server, that of dev must be named."""
    with EmbeddedServer(tmp_path / "state"):
        assert places.here(settings(tmp_path)).state_dir == tmp_path / "state"


def test_server_that_does_not_come_is_told_in_time(tmp_path: Path) -> None:
    """The wait for a server that is starting has an end."""
    with pytest.raises(StoreUnavailable, match="no embedded server is running in"):
        places.store(settings(tmp_path))
