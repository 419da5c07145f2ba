"""Files of jobs: formats, and every bad line named."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.jobfile import format_of, read_lines

GOOD = {"id": "a", "account": "acme", "country": "1", "phone": "2125550123", "code": "4711"}


def test_format_follows_the_suffix_unless_named() -> None:
    """.jsonl and .csv tell the format, a named one wins, anything else must be named."""
    assert (format_of("x/jobs.CSV", None), format_of("jobs.jsonl", None)) == ("csv", "jsonl")
    assert format_of("jobs.csv", "jsonl") == "jsonl"
    with pytest.raises(click.UsageError):
        format_of("-", None)


def test_json_lines_become_jobs(tmp_path: Path) -> None:
    """Each line is a job; blank lines count for nothing, an absent id is made up."""
    without_id = {name: value for name, value in GOOD.items() if name != "id"}
    file = tmp_path / "jobs.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(without_id)}\n")
    jobs, problems = read_lines(str(file), "jsonl", extended=False)
    assert problems == []
    assert jobs[0].id == "a"
    assert jobs[1].id.startswith("job_")


def test_bad_json_lines_are_named_with_file_and_line(tmp_path: Path) -> None:
    """What is not JSON, not an object or not a job is told by line and field, without the values."""
    file = tmp_path / "jobs.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{{\n[1]\n{json.dumps({**GOOD, 'phone': '55x1234567'})}\n")
    jobs, problems = read_lines(str(file), "jsonl", extended=False)
    assert [job.id for job in jobs] == ["a"]
    assert [problem.removeprefix(str(file)).partition(" ")[0] for problem in problems] == [
        ":2:",
        ":3:",
        ":4:",
    ]
    assert "phone: must be 5 to 15 digits" in problems[2]
    assert "55x" not in "".join(problems)


def test_csv_rows_become_jobs_and_empty_cells_are_absent(tmp_path: Path) -> None:
    """A table as spreadsheets write it, with a byte order mark and empty cells, is read."""
    file = tmp_path / "jobs.csv"
    file.write_text(
        "\ufeffaccount,country,phone,code,ref,ext\r\nacme,1,2125550123,4711,,\r\n", encoding="utf-8"
    )
    jobs, problems = read_lines(str(file), "csv", extended=False)
    assert problems == []
    assert (jobs[0].phone, jobs[0].ref, jobs[0].ext) == ("2125550123", None, None)


def test_csv_row_with_too_many_cells_is_a_bad_line(tmp_path: Path) -> None:
    """A cell under no column is an error of that line, not dropped."""
    file = tmp_path / "jobs.csv"
    file.write_text("account,country,phone,code\nacme,1,2125550123,4711,surplus\n")
    jobs, problems = read_lines(str(file), "csv", extended=False)
    assert jobs == []
    assert problems == [f"{file}:2: line: has more cells than columns"]


@pytest.mark.parametrize(
    ("head", "told"),
    [("account,colour", "unknown columns: 'colour'"), ("code,code", "named twice: code"), ("", "no columns")],
)
def test_csv_with_a_bad_head_is_refused_whole(tmp_path: Path, head: str, told: str) -> None:
    """Unknown or doubled columns are named, and nothing is read."""
    file = tmp_path / "jobs.csv"
    file.write_text(f"{head}\nacme,1\n" if head else "")
    with pytest.raises(click.ClickException, match=told):
        read_lines(str(file), "csv", extended=False)


def test_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    """A file in another encoding is one readable error."""
    file = tmp_path / "jobs.csv"
    file.write_bytes(b"account\n\xff\xfe\n")
    with pytest.raises(click.ClickException, match="is not UTF-8"):
        read_lines(str(file), "csv", extended=False)


@given(text=st.text(max_size=200))
def test_any_text_as_json_lines_gives_problems_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Whatever a file holds, reading it ends in jobs and problems."""
    file = tmp_path_factory.mktemp("any") / "jobs.jsonl"
    file.write_bytes(text.encode("utf-8", "replace"))
    jobs, problems = read_lines(str(file), "jsonl", extended=False)
    assert jobs == []
    assert all(problem.startswith(f"{file}:") for problem in problems)


def test_a_line_that_gives_a_field_twice_is_named(tmp_path: Path) -> None:
    """Neither of the two is sent, nor shown (C9)."""
    file = tmp_path / "jobs.jsonl"
    file.write_text(
        '{"account": "acme", "country": "1", "phone": "2125555555", "code": "4321", "code": "4322"}\n'
    )
    jobs, problems = read_lines(str(file), "jsonl", extended=False)
    assert not jobs and problems == [f"{file}:1: code: stands more than once"]
