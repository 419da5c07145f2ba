"""What many accounts cost a start and the commands, counted in steps; `make bench BENCH=accounts` takes the time."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from rich.table import Table

from worker.cli.output import FITTED_ROWS, print_rows
from worker.configuration import textfiles
from worker.core.accounts import Accounts
from worker.preflight import checks
from worker.settings import Settings
from worker.wiring.accounts import LiveAccounts

ACCOUNTS = 200
CALLS_PER_ACCOUNT = 60
"""Of Python functions, from the file to the last key: 50,000 accounts then take about two seconds of CPU."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with an accounts file in which each account has a key in a file of its own."""
    tables = []
    for number in range(ACCOUNTS):
        key = tmp_path / f"key-{number}"
        key.write_text(hashlib.md5(key.name.encode(), usedforsecurity=False).hexdigest())
        tables.append(f'[accounts.a{number}]\napi_key_file = "{key}"\nrate = "10/s"\nburst = 5\n')
    (tmp_path / "accounts.toml").write_text("\n".join(tables))
    return Settings.from_env({"ACCOUNTS_FILE": str(tmp_path / "accounts.toml")})


def calls_of(act: Callable[[], object]) -> int:
    """Return how many calls of Python functions an act makes; steps of generators are not counted by every Python."""
    counted = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal counted
        counted += event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return counted


def _secrets(path: Path) -> list[str]:
    return Accounts.load(path).secrets({})


def test_reading_an_account_takes_few_steps(settings: Settings) -> None:
    """File, checks, and keys: what a start, each change of the file and the commands do."""
    few = settings.accounts_file.with_name("few.toml")
    few.write_text("\n".join(settings.accounts_file.read_text().splitlines()[:5]))
    one, all_of_them = (calls_of(partial(_secrets, path)) for path in (few, settings.accounts_file))
    assert (all_of_them - one) / (ACCOUNTS - 1) < CALLS_PER_ACCOUNT


def test_a_start_reads_file_and_keys_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks before a start hand on what they have read, unless the file has changed since."""
    read, bytes_of = list[Path](), textfiles._bytes

    def noted(path: Path, most: int) -> bytes:
        read.append(path)
        return bytes_of(path, most)

    monkeypatch.setattr(textfiles, "_bytes", noted)
    checked = checks.check(settings, environ={})
    live = LiveAccounts(settings, checked).current
    assert len(live.now) == ACCOUNTS
    assert len([path for path in read if path.parent == settings.accounts_file.parent]) == ACCOUNTS + 1
    settings.accounts_file.write_text("\n".join(settings.accounts_file.read_text().splitlines()[:5]))
    assert len(LiveAccounts(settings, checked).current.now) == 1


def test_a_long_table_is_not_fitted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The columns are as wide as their cells, and no cell can move the cursor."""
    rows: list[list[Any]] = [[n, "\x1b[2J" if n == 7 else "acme"] for n in range(FITTED_ROWS + 1)]
    monkeypatch.setattr(Table, "add_row", lambda *_: pytest.fail("is fitted"))
    print_rows(("number", "name"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1
    assert (lines[0], lines[8], lines[-1]) == ("number name", "7      \\x1b[2J", f"{FITTED_ROWS}   acme")
