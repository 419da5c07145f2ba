"""Reads CSV tables as spreadsheets write them, with empty rows and columns, and explains what is wrong with others."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import click

from worker.core.jobs import Job, name_of_unknown

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}

_EXCEL_S_OWN = re.compile(r"\A\s*sep=,\r?\n", re.IGNORECASE)
"""A first line that tells Excel the separator; it is not part of the table."""

Row = tuple[int, dict[str, str] | str]
"""The number of a line, and its cells by column or a text that says what is wrong with it."""


def table_rows(text: str, name: str) -> Iterator[Row]:
    """Yield each row that is not empty. Empty cells count as absent. `name` is the file's name in errors.

    Raises ClickException if the first line does not name the columns of jobs, or the text is not CSV. The error quotes
    a cell of that line only if it could be the name of a field, because the line may be a job.
    """
    table = csv.reader(io.StringIO(_EXCEL_S_OWN.sub("\n", text), newline=""), strict=True)
    filled = ((table.line_num, [cell.strip() for cell in row]) for row in table)
    rows = ((number, row) for number, row in filled if any(row))
    _refuse_other_separator(text, name)
    try:
        number, head = next(rows, (1, []))
        columns = [column.lower() for column in head]
        _check_columns(columns, head, f"{name}:{number}")
        yield from ((number, _by_column(columns, row)) for number, row in rows)
    except csv.Error as error:
        raise click.ClickException(f"{name}:{table.line_num}: not a CSV table: {error}") from None


def _refuse_other_separator(text: str, name: str) -> None:
    first = text.lstrip().partition("\n")[0]
    for sign, word in SEPARATORS.items():
        if sign in first and "," not in first:
            raise click.ClickException(
                f"{name}:1: the columns are separated by {word}; save the table with commas between them"
            )


def _check_columns(columns: Sequence[str], head: Sequence[str], place: str) -> None:
    named = [column for column in columns if column]
    unknown = [
        name_of_unknown(head[n], n + 1, "column")
        for n, column in enumerate(columns)
        if column and column not in Job.model_fields
    ]
    doubled = sorted({column for column in named if named.count(column) > 1})
    known = f"the known ones are {', '.join(Job.model_fields)}"
    if not named:
        problem = "no columns"
    elif len(unknown) == len(named):
        problem = f"the first line must name the columns; {known}"
    elif unknown:
        problem = f"unknown columns: {', '.join(unknown)}; {known}"
    elif doubled:
        problem = f"columns named twice: {', '.join(doubled)}"
    else:
        return
    raise click.ClickException(f"{place}: {problem}")


def _by_column(columns: Sequence[str], row: Sequence[str]) -> dict[str, str] | str:
    pairs = [(column, cell) for column, cell in zip_longest(columns, row) if cell]
    if any(column is None for column, _ in pairs):
        return "has more cells than columns"
    if any(column == "" for column, _ in pairs):
        return "has a cell in a column without a name"
    return dict(pairs)
