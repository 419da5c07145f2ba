"""Files of jobs, as JSON Lines or CSV: every line checked, every bad one named."""

from __future__ import annotations

import csv
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import click

from worker.errors import InvalidJob
from worker.intake import read_once
from worker.jobs import Job

Format = Literal["jsonl", "csv"]
SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


def format_of(file: str, given: Format | None) -> Format:
    """The format named, else the one that the suffix tells. Raises UsageError where neither does."""
    found = given or SUFFIXES.get(Path(file).suffix.lower())
    if found is None:
        raise click.UsageError("--format jsonl or --format csv is needed: the file's name does not tell")
    return found


def check(fields: Mapping[str, Any], *, extended: bool) -> Job:
    """The job, with an id made up where it has none. Raises InvalidJob."""
    if fields.get("id") is None:
        fields = {**fields, "id": f"job_{uuid.uuid4().hex}"}
    return Job.parse(fields, extended=extended)


def read_lines(file: str, format: Format, *, extended: bool) -> tuple[list[Job], list[str]]:
    """The valid jobs of a file, "-" for standard input, and a line for each bad one: file, line, what is wrong.

    Raises ClickException for a table without a good first line, or text that is not UTF-8; OSError.
    """
    name = "standard input" if file == "-" else file
    jobs: list[Job] = []
    problems: list[str] = []
    try:
        with _opened(file) as stream:
            rows = _json_rows(stream) if format == "jsonl" else _csv_rows(stream, name)
            for number, row in rows:
                try:
                    jobs.append(check(_fields(row), extended=extended))
                except InvalidJob as problem:
                    problems.append(f"{name}:{number}: {_told(problem)}")
    except UnicodeDecodeError:
        raise click.ClickException(f"{name}: is not UTF-8 text") from None
    except csv.Error as problem:
        raise click.ClickException(f"{name}: is not a CSV table: {problem}") from None
    return jobs, problems


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
    else:
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            yield stream


def _json_rows(stream: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield number, _decoded(line)


def _decoded(line: str) -> Any:
    try:
        return read_once(line)
    except (ValueError, RecursionError):
        return None


def _csv_rows(stream: TextIO, name: str) -> Iterator[tuple[int, dict[Any, Any]]]:
    table = csv.DictReader(stream, restkey="", strict=True)
    _check_columns(table.fieldnames or (), name)
    for row in table:
        yield table.line_num, {column: cell for column, cell in row.items() if cell}


def _check_columns(columns: Any, name: str) -> None:
    unknown = [column for column in columns if column not in Job.model_fields]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if unknown:
        known = ", ".join(Job.model_fields)
        raise click.ClickException(
            f"{name}:1: unknown columns: {', '.join(map(repr, unknown))}; known are {known}"
        )
    if doubled or not columns:
        raise click.ClickException(
            f"{name}:1: {'columns named twice: ' + ', '.join(doubled) if doubled else 'no columns'}"
        )


def _fields(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InvalidJob("INVALID_JOB", "the line is not valid", {"line": "is not a JSON object"})
    if "" in row:
        raise InvalidJob("INVALID_JOB", "the line is not valid", {"line": "has more cells than columns"})
    return row


def _told(problem: InvalidJob) -> str:
    return "; ".join(f"{field}: {text}" for field, text in problem.fields.items())
