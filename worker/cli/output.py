"""How commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 160

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def example(*lines: str) -> str:
    """The end of a command's help text."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for whole lines where there is none."""
    found = Console(stderr=stderr, highlight=False)
    return (
        found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> Table:
    """A plain table; cells are shown as they are, never read as markup."""
    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(_text(cell) for cell in row))
    return result


def _text(cell: object) -> Text:
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
