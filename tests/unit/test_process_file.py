"""The file of `--pidfile`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.celery_edge.process_file import process_file
from worker.errors import ConfigurationError

GONE = 2**22 + 1
"""No process has it: Linux gives numbers up to 2^22."""


@pytest.mark.parametrize("left_behind", [None, f"{GONE}\n"])
def test_file_holds_the_process_while_it_runs(tmp_path: Path, left_behind: str | None) -> None:
    """One that a killed worker has left behind is replaced (D9)."""
    path = tmp_path / "pid"
    if left_behind:
        path.write_text(left_behind)
    with process_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "cause"),
    [(f"{os.getppid()}\n", "the running process"), ("[accounts]\n", "does not hold a process id")],
)
def test_file_of_another_keeps_this_one_out_and_stays(tmp_path: Path, content: str, cause: str) -> None:
    """Before anything starts; Celery noticed when calls were under way, and removed what is no such file (D9)."""
    path = tmp_path / "pid"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=cause), process_file(str(path)):
        pytest.fail("nothing may start")
    assert path.read_text() == content


def test_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The line has the path and the cause (D9)."""
    with (
        pytest.raises(ConfigurationError, match="--pidfile: .*: ") as problem,
        process_file(f"{tmp_path}/none/pid"),
    ):
        pytest.fail("nothing may start")
    assert "\n" not in str(problem.value)


def test_no_file_is_no_matter() -> None:
    """Nothing is written without the option."""
    with process_file(None):
        pass
