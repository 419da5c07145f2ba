"""How commands print: lines and tables for people, JSON for machines. Nothing printed here can move the cursor."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def example(*lines: str) -> str:
    """The end of a command's help text."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def say(text: object, *, err: bool = False) -> None:
    """Print one line, whatever its text holds; with `err` to standard error."""
    _write(printable(str(text)), sys.stderr if err else sys.stdout)


def print_json(value: Any) -> None:
    """One JSON document on one line of ASCII."""
    _write(_in_ascii(json.dumps(value)), sys.stdout)


def print_document(text: str) -> None:
    """A JSON document that is text already, on one line of ASCII and else as it is; any other text as a string."""
    _write(_in_ascii(text if _is_json(text) else json.dumps(text)), sys.stdout)


def spell_out_what_has_no_sign() -> None:
    """From now on a sign that the terminal's encoding does not have is printed as an escape and raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what was printed. Raises OSError where it is not taken, as by a full disk."""
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_what_is_not_taken() -> None:
    """Python would try again when it ends, and complain in words of its own."""
    try:
        flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(line: str, stream: TextIO) -> None:
    # Without a stream named click would write UTF-8 to a terminal in ASCII.
    click.echo(line, file=stream)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _in_ascii(document: str) -> str:
    """Outside of strings a JSON document has no signs but ASCII; a line break there is only a space."""
    return "".join(sign if " " <= sign <= "~" else _escaped(sign) for sign in document)


def _escaped(sign: str) -> str:
    # json.dumps lets DEL through.
    return {"\n": " ", "\r": " ", "\t": " ", "\x7f": "\\u007f"}.get(sign) or json.dumps(sign)[1:-1]


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for whole lines where there is none."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    return (
        found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> Table:
    """A plain table; cells are shown as they are, never read as markup."""
    from rich.table import Table

    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(_text(cell) for cell in row))
    return result


def _text(cell: object) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(printable(str(cell)))


def printable(text: str) -> str:
    """The text with control signs spelled out: foreign text must not move the cursor or forge a line."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def span(seconds: float) -> str:
    """12.3 → "12 s", 200 → "3 min 20 s", 7300 → "2 h 1 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def from_now(unix_us: int) -> str:
    """ "in 12 s" or "12 s ago"."""
    seconds = unix_us / 1_000_000 - time.time()
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
