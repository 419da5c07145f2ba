"""Prints lines and tables for people and JSON for machines. Nothing printed here can move the cursor."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160
FITTED_ROWS = 1000

_PRINTABLE = re.compile(r"[ -~]*")

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def example(*lines: str) -> str:
    """The example at the end of a command's help text."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def say(text: object, *, err: bool = False) -> None:
    """Print any text as one line, with `err` to standard error."""
    _write(printable(str(text)), sys.stderr if err else sys.stdout)


def print_json(value: Any) -> None:
    """Print a value as JSON, on one line of ASCII."""
    _write(_in_ascii(json.dumps(value)), sys.stdout)


def print_document(text: str) -> None:
    """Print a text that is JSON on one line of ASCII, otherwise unchanged; print any other text as a JSON string."""
    _write(_in_ascii(text if _is_json(text) else json.dumps(text)), sys.stdout)


def spell_out_what_has_no_sign() -> None:
    """Print characters that the encoding of the terminal lacks as escapes from now on, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what was printed. Raises OSError if that fails, for example on a full disk."""
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_what_is_not_taken() -> None:
    """Discard output that cannot be written. Otherwise Python would try again at its end and print a traceback."""
    try:
        flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(line: str, stream: TextIO) -> None:
    # Without an explicit stream click would write UTF-8 to an ASCII terminal.
    click.echo(line, file=stream)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _in_ascii(document: str) -> str:
    """Escape all but ASCII. Outside its strings a JSON document has only ASCII, and a line break there is a space."""
    if _PRINTABLE.fullmatch(document):
        return document
    return "".join(sign if " " <= sign <= "~" else _escaped(sign) for sign in document)


def _escaped(sign: str) -> str:
    # json.dumps lets DEL through.
    return {"\n": " ", "\r": " ", "\t": " ", "\x7f": "\\u007f"}.get(sign) or json.dumps(sign)[1:-1]


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for whole lines if there is no terminal."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    return (
        found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> Table:
    """A plain table. Cells are shown as they are, never interpreted as markup."""
    from rich.table import Table

    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(_text(cell) for cell in row))
    return result


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a plain table. One of many rows is not fitted to the terminal, which would take a minute for 50,000."""
    if len(rows) <= FITTED_ROWS:
        console().print(table(columns, rows))
        return
    lines = [columns, *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    _write("\n".join(padded), sys.stdout)


def _text(cell: object) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(printable(str(cell)))


def printable(text: str) -> str:
    """Escape control characters: foreign text must not move the cursor or forge a line."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(sign: str) -> str:
    return sign if sign.isprintable() else ascii(sign)[1:-1]


def span(seconds: float) -> str:
    """Format a duration: 12.3 → "12 s", 200 → "3 min 20 s", 7300 → "2 h 1 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def from_now(unix_us: int) -> str:
    """Format a time relative to now, as "in 12 s" or "12 s ago"."""
    seconds = unix_us / 1_000_000 - time.time()
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
