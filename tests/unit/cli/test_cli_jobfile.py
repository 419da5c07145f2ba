"""Files of jobs: formats, and every bad line named."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.cli.given import parse_given
from worker.cli.jobfile import Format, format_of, read_sheet
from worker.core.jobs import Job
from worker.errors import InvalidJob


def read(file: str, format: Format, *, extended: bool) -> tuple[list[Job], list[str]]:
    """The jobs of a file, and what is wrong with its other lines."""
    sheet = read_sheet(file, format, {}, extended=extended)
    return [line.job for line in sheet.lines], sheet.problems


GOOD = {"id": "a", "account": "acme", "country": "1", "phone": "2125550123", "code": "4711"}


def test_format_follows_the_suffix_unless_named() -> None:
    """.jsonl and .csv tell the format, a named one wins, anything else must be named."""
    assert (format_of("x/jobs.CSV", None), format_of("jobs.jsonl", None)) == ("csv", "jsonl")
    assert format_of("jobs.csv", "jsonl") == "jsonl"
    with pytest.raises(click.UsageError):
        format_of("-", None)


def test_json_lines_become_jobs(tmp_path: Path) -> None:
    """Each line is a job; blank lines count for nothing."""
    without_id = {name: value for name, value in GOOD.items() if name != "id"}
    file = tmp_path / "jobs.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(without_id)}\n")
    jobs, problems = read(str(file), "jsonl", extended=False)
    assert problems == []
    assert jobs[0].id == "a"
    assert jobs[1].phone == GOOD["phone"]


def test_bad_json_lines_are_named_with_file_and_line(tmp_path: Path) -> None:
    """A line that is not JSON, not an object or not a job is named with its field, without the values."""
    file = tmp_path / "jobs.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{{\n[1]\n{json.dumps({**GOOD, 'phone': '55x1234567'})}\n")
    jobs, problems = read(str(file), "jsonl", extended=False)
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
    jobs, problems = read(str(file), "csv", extended=False)
    assert problems == []
    assert (jobs[0].phone, jobs[0].ref, jobs[0].ext) == ("2125550123", None, None)


def test_csv_row_with_too_many_cells_is_a_bad_line(tmp_path: Path) -> None:
    """A cell under no column is an error of that line, not dropped."""
    file = tmp_path / "jobs.csv"
    file.write_text("account,country,phone,code\nacme,1,2125550123,4711,surplus\n")
    jobs, problems = read(str(file), "csv", extended=False)
    assert jobs == []
    assert problems == [f"{file}:2: line: has more cells than columns"]


@pytest.mark.parametrize(
    ("head", "told"),
    [("account,colour", "unknown columns: colour"), ("code,code", "named twice: code"), ("", "no columns")],
)
def test_csv_with_a_bad_head_is_refused_whole(tmp_path: Path, head: str, told: str) -> None:
    """Unknown or doubled columns are named, and nothing is read."""
    file = tmp_path / "jobs.csv"
    file.write_text(f"{head}\nacme,1\n" if head else "")
    with pytest.raises(click.ClickException, match=told):
        read(str(file), "csv", extended=False)


def test_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    """A file in another encoding is one readable error."""
    file = tmp_path / "jobs.csv"
    file.write_bytes(b"account\n\xff\xfe\n")
    with pytest.raises(click.ClickException, match="is not UTF-8"):
        read(str(file), "csv", extended=False)


@given(text=st.text(st.characters(exclude_characters="\0"), max_size=200))
@example("\x85")
def test_any_text_as_json_lines_gives_problems_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Whatever a text holds, reading it ends in jobs and problems; one with zero bytes is none, and refused whole."""
    file = tmp_path_factory.mktemp("any") / "jobs.jsonl"
    file.write_bytes(text.encode("utf-8", "replace"))
    jobs, problems = read(str(file), "jsonl", extended=False)
    assert jobs == []
    assert all(problem.startswith(f"{file}:") for problem in problems)


def test_a_line_that_gives_a_field_twice_is_named(tmp_path: Path) -> None:
    """The line is named, and neither value is sent or shown (C9)."""
    file = tmp_path / "jobs.jsonl"
    file.write_text(
        '{"account": "acme", "country": "1", "phone": "2125555555", "code": "4321", "code": "4322"}\n'
    )
    jobs, problems = read(str(file), "jsonl", extended=False)
    assert not jobs and problems == [f"{file}:1: code: occurs more than once"]


TABLE = "account,country,phone,code,ref\nacme,1,2125550123,4711,Grüße\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE + ",,,,\n\n , ,,,\r\n",
        ",,,,\n" + TABLE,
        "sep=,\r\n" + TABLE,
        "account,country,phone,code,ref,,\nacme,1,2125550123,4711,Grüße,,\n,,,,,,\n",
        TABLE.rstrip() + ",,,\n",
        "Account, Country ,PHONE,code,ref\nacme,1, 2125550123 ,4711,Grüße\n",
    ],
)
@pytest.mark.parametrize("way", ["path", "-"])
def test_table_as_spreadsheets_write_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, way: str
) -> None:
    """Empty rows and columns, a byte-order mark and any line end make no difference, nor whether the file comes by its
    path or on standard input in whatever encoding the terminal has (C3, C4)."""
    jobs, problems = read_bytes(tmp_path, monkeypatch, text.encode(), way)
    assert problems == []
    assert [(job.phone, job.ref) for job in jobs] == [("2125550123", "Grüße")]


@pytest.mark.parametrize("way", ["path", "-"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (TABLE.encode("latin-1"), "is not UTF-8 text, see line 2"),
        (TABLE.encode("utf-16"), "is UTF-16 text"),
        (TABLE.encode("utf-16-le"), "is not UTF-8 text: it holds zero bytes, as UTF-16"),
    ],
)
def test_text_of_another_encoding_is_refused_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, cause: str, way: str
) -> None:
    """A name in Latin-1 is never sent as other letters, and the line says what the file is (C3)."""
    with pytest.raises(click.ClickException, match=cause):
        read_bytes(tmp_path, monkeypatch, content, way)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("account;country;phone;code\nacme;1;2125550123;4711\n", "separated by semicolons"),
        ("account\tcountry\tphone\tcode\nacme\t1\t2125550123\t4711\n", "separated by tabs"),
        ('"account";"country";"phone";"code"\n"acme";"1";"2125550123";"4711"\n', "separated by semicolons"),
        ("sep=;\naccount;country;phone;code\n", "separated by semicolons"),
        ("acme;1;2125550123;4711\n", "separated by semicolons"),
        ("acme,1,2125550123,4711\nacme,1,2125550124,4712\n", "the first line must name the columns"),
        ("account,country,phone,code,2125550123\n", "unknown columns: column 5;"),
        ("account,country,phone,code,4711 x,colour\n", "unknown columns: column 5, colour;"),
    ],
)
def test_head_that_is_none_is_told_without_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    """Another separator is named; a job in place of the columns' names is not repeated (C4, E11)."""
    with pytest.raises(click.ClickException, match=told) as problem:
        read_bytes(tmp_path, monkeypatch, text.encode(), "path")
    assert not any(part in problem.value.message for part in ("2125550123", "4711", "acme"))


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("country", "1.0", "a spreadsheet has changed"),
        ("country", "1,0", "a spreadsheet has changed"),
        ("phone", "5.555E+09", "a spreadsheet has rounded"),
        ("phone", "5,555E+09", "a spreadsheet has rounded"),
        ("phone", "2125550123.0", "a spreadsheet has changed"),
        ("code", "4711.00", "a spreadsheet has changed"),
        ("phone", 2125550123.0, "a spreadsheet has changed"),
        ("phone", 5.555e30, "a spreadsheet has rounded"),
    ],
)
def test_number_that_a_spreadsheet_broke_is_named_as_such(field: str, value: str | float, told: str) -> None:
    """The error says what happened and what helps; nothing is guessed, and the value is not repeated (C4)."""
    with pytest.raises(InvalidJob) as problem:
        parse_given({**GOOD, field: value}, extended=False)
    assert told in problem.value.fields[field]
    assert str(value) not in problem.value.fields[field].replace("as 1.0", "").replace("as 5.5E+09", "")


def test_language_is_taken_in_any_case_and_time_as_a_span() -> None:
    """`english` is English, and `10m` is ten minutes from now (D10)."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    job = parse_given({**GOOD, "message": "FRENCH", "expires_at": "10m"}, extended=False)
    assert job.message == "French"
    assert job.expires_at is not None
    assert before < job.expires_at - timedelta(minutes=10) < datetime.now(UTC)


def test_defaults_fill_what_lines_leave_out(tmp_path: Path) -> None:
    """A field of a line is kept; one that is missing or null gets the default (D10)."""
    file = tmp_path / "jobs.jsonl"
    lines = [{**GOOD, "account": None}, {**GOOD, "account": "globex"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sheet = read_sheet(str(file), "jsonl", {"account": "initech", "message": "german"}, extended=False)
    assert [(line.job.account, line.job.message) for line in sheet.lines] == [
        ("initech", "German"),
        ("globex", "German"),
    ]


def test_foreign_names_in_a_line_are_told_by_their_place(tmp_path: Path) -> None:
    """A number in place of a name is not repeated; the place is counted as in the line (E11)."""
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"account": "acme", "2125550123": 1, "colour": 2}\n')
    _, (problem,) = read(str(file), "jsonl", extended=False)
    assert "field 2: is not a field" in problem
    assert "colour: is not a field" in problem
    assert "2125550123" not in problem


def read_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, way: str
) -> tuple[list[Job], list[str]]:
    """Return what is read of a CSV file with this content, by path or on standard input of a Latin-1 terminal."""
    file = tmp_path / "jobs.csv"
    file.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="latin-1"))
    return read(str(file) if way == "path" else "-", "csv", extended=False)
