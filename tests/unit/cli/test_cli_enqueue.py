"""`callworker enqueue` up to the broker, which these tests replace by a list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, one_line
from worker.cli import enqueue
from worker.jobs import Job

FLAGS = ("enqueue", "--account", "acme", "--country", "1", "--phone", "2125550123")
CSV = "account,country,phone,code,id\nacme,1,2125550123,4711,a\nacme,1,nonsense,4711,b\n"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Takes the broker's place; the jobs that were sent."""
    jobs: list[Job] = []

    def take(_: str, batch: Sequence[Job], *, progress: bool = False) -> None:
        jobs.extend(batch)

    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(enqueue, "send", take)
    return jobs


def test_one_job_from_flags_is_sent_and_its_id_printed(run: Run, sent: list[Job]) -> None:
    """The flags are the job's fields."""
    result = run(*FLAGS, "--code", "4711", "--id", "order-1", "--expires-at", "2099-01-01T00:00:00Z")
    assert (result.exit_code, result.stdout) == (0, "order-1\n")
    assert (sent[0].code, sent[0].phone, sent[0].expires_at is not None) == ("4711", "2125550123", True)


def test_json_shows_the_number_masked_and_no_pin(run: Run, sent: list[Job]) -> None:
    """--json prints an object for the job, safe to keep."""
    result = run(*FLAGS, "--code", "4711", "--id", "order-1", "--json")
    shown = {"id": "order-1", "account": "acme", "country": "1", "phone": "******0123"}
    assert json.loads(result.stdout) == shown


def test_code_is_read_from_standard_input(run: Run, sent: list[Job]) -> None:
    """--code - keeps the PIN off the command line."""
    assert run(*FLAGS, "--code", "-", input="4711\n").exit_code == 0
    assert sent[0].code == "4711"


def test_invalid_flags_are_wrong_usage_and_send_nothing(run: Run, sent: list[Job]) -> None:
    """Each wrong flag is named with its rule; values are not repeated."""
    result = run(*FLAGS, "--code", "0123", "--expires-at", "tomorrow")
    assert result.exit_code == 2
    line = one_line(result)
    assert "--code must be" in line
    assert "--expires-at must be" in line
    assert "0123" not in line
    assert sent == []


def test_missing_flags_are_named(run: Run, sent: list[Job]) -> None:
    """What a job cannot be without is asked for by its flag."""
    result = run("enqueue", "--account", "acme")
    assert result.exit_code == 2
    assert "--country, --phone, --code" in one_line(result)


@pytest.mark.parametrize("extra", [("--account", "acme"), ("--wait",)])
def test_file_goes_with_no_flag_of_a_single_job(run: Run, sent: list[Job], extra: tuple[str, ...]) -> None:
    """--file and the fields of one job exclude each other."""
    result = run("enqueue", "--file", "jobs.csv", *extra)
    assert result.exit_code == 2
    assert "--file" in one_line(result)


def test_file_with_a_bad_line_sends_nothing(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """One bad line stops the whole file, and is named."""
    file = tmp_path / "jobs.csv"
    file.write_text(CSV)
    result = run("enqueue", "--file", str(file))
    assert (result.exit_code, result.stdout, sent) == (1, "", [])
    assert f"{file}:3: phone: must be" in result.stderr
    assert "nothing was sent" in result.stderr


def test_skip_invalid_sends_the_good_lines_and_still_fails(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """--skip-invalid sends what it can, lists the rest and ends with 1."""
    file = tmp_path / "jobs.csv"
    file.write_text(CSV)
    result = run("enqueue", "--file", str(file), "--skip-invalid")
    assert (result.exit_code, result.stdout) == (1, "a\n")
    assert [job.id for job in sent] == ["a"]
    assert f"{file}:3:" in result.stderr


def test_jobs_come_from_standard_input(run: Run, sent: list[Job]) -> None:
    """--file - reads what is piped in, in the format that is named."""
    result = run("enqueue", "--file", "-", "--format", "csv", input=CSV.partition("acme,1,nonsense")[0])
    assert (result.exit_code, result.stdout) == (0, "a\n")


def test_empty_file_is_an_error(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """A file without jobs is told, not passed over."""
    file = tmp_path / "jobs.jsonl"
    file.touch()
    result = run("enqueue", "--file", str(file))
    assert result.exit_code == 1
    assert "holds no jobs" in one_line(result)


def test_file_that_is_not_there_is_one_line(run: Run, sent: list[Job]) -> None:
    """The operating system's error names the file."""
    result = run("enqueue", "--file", "no-such-file.csv")
    assert result.exit_code == 1
    assert one_line(result) == "callworker: no-such-file.csv: No such file or directory"
