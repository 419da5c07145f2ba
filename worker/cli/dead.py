"""`callworker dead`: messages that came in and that no event could answer."""

from __future__ import annotations

import json
from typing import Any

import click

from worker.cli import places
from worker.cli.output import console, example, json_option, print_json, table
from worker.events import rfc3339
from worker.settings import Settings
from worker.state import keys
from worker.state.scripts import translated


@click.group(epilog=example("callworker dead list"))
def command() -> None:
    """Show messages that no event could answer, each with its reason."""


@command.command("list", epilog=example("callworker dead list --max 5", "callworker dead list --json"))
@click.option(
    "--max", "most", type=click.IntRange(1), default=50, show_default=True, help="The newest so many."
)
@json_option
def list_(most: int, as_json: bool) -> None:
    """List dead letters, newest first; PINs, numbers and keys are taken out before they are kept."""
    with places.store(Settings.from_env()) as client, translated():
        rows: Any = client.lrange(keys.DEAD, 0, most - 1)
    letters = [json.loads(row) for row in rows]
    if as_json:
        print_json([letter | {"at": _moment(letter)} for letter in letters])
    elif letters:
        console().print(table(("time", "source", "reason", "content"), map(_row, letters)))
    else:
        click.echo("no dead letters")


def _row(letter: dict[str, Any]) -> tuple[str, ...]:
    content = letter["content"]
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return _moment(letter), letter["source"], letter["reason"], text[:200]


def _moment(letter: dict[str, Any]) -> str:
    return rfc3339(int(letter["at"] * 1_000_000))
