"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from worker.cli import places, program
from worker.settings import Settings

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the machine that runs the tests reaches a command; the embedded server's folder is empty."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.setattr(places, "STARTING_SECONDS", 0.0)
    monkeypatch.setenv("CALLWORKER_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def run() -> Run:
    """Runs one command line, as typed after `callworker`."""

    def invoke(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(program, args, input=input)

    return invoke


def one_line(result: Result) -> str:
    """The one line on standard error; fails if there is another."""
    lines: list[str] = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("callworker: ")
    return lines[0]
