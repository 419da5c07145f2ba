"""Reads files of jobs, in JSON Lines or CSV. It checks every line and names every invalid one."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from worker.cli.given import parse_given
from worker.cli.jobtable import Row, table_rows
from worker.configuration.textfiles import NotText, decoded
from worker.core.jobs import Job
from worker.core.judging import read_once
from worker.errors import InvalidJob

Format = Literal["jsonl", "csv"]
SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
WITHOUT_ID = "without-id"


@dataclass(frozen=True, slots=True)
class Line:
    """A valid line: its number, the fields as given, and the job. A job without an id has a placeholder as its id."""

    number: int
    given: Mapping[str, Any]
    job: Job

    @property
    def has_id(self) -> bool:
        return self.given.get("id") is not None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that was read: its name in errors, its bytes, the valid lines, and a text for each invalid one."""

    name: str
    content: bytes
    lines: list[Line]
    problems: list[str]


def format_of(file: str, given: Format | None) -> Format:
    """The given format, or the one that the suffix shows. Raises UsageError if there is neither."""
    found = given or SUFFIXES.get(Path(file).suffix.lower())
    if found is None:
        raise click.UsageError(
            "give --format jsonl or --format csv: the file's name does not show the format"
        )
    return found


def read_sheet(file: str, format: Format, defaults: Mapping[str, str], *, extended: bool) -> Sheet:
    """Read a whole file; "-" is standard input. `defaults` apply to the fields that a line leaves out.

    Raises ClickException for a table without a valid first line and for text that is not UTF-8, and OSError.
    """
    name = "standard input" if file == "-" else file
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    text = _text(content, name)
    sheet = Sheet(name, content, [], [])
    for number, row in _json_rows(text) if format == "jsonl" else table_rows(text, name):
        try:
            sheet.lines.append(_line(number, row, defaults, extended=extended))
        except InvalidJob as error:
            sheet.problems.append(f"{name}:{number}: {told(error)}")
    return sheet


def told(problem: InvalidJob) -> str:
    """The errors of one job, in one line of text."""
    return "; ".join(f"{field}: {text}" for field, text in problem.fields.items())


def _text(content: bytes, name: str) -> str:
    try:
        return decoded(content)
    except NotText as error:
        raise click.ClickException(f"{name}: {error}") from None


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if line.strip():
            yield number, _object(line)


def _object(line: str) -> dict[str, Any] | str:
    try:
        found = read_once(line)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else "is not a JSON object"


def _line(number: int, row: dict[str, Any] | str, defaults: Mapping[str, str], *, extended: bool) -> Line:
    if isinstance(row, str):
        raise InvalidJob("INVALID_JOB", "the line is not valid", {"line": row})
    # The line's own fields come first: an error names an unknown field by its place.
    given = {**row, **{name: value for name, value in defaults.items() if row.get(name) is None}}
    with_id = given if given.get("id") is not None else {**given, "id": WITHOUT_ID}
    return Line(number, given, parse_given(with_id, extended=extended))
