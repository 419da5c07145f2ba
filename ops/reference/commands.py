"""The commands: usage, help text, options and examples of each, as click knows them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from ops.reference.tables import code, table
from worker.cli import program

MARK = "<!-- not run: examples of single commands; a test checks their options -->"


def commands() -> str:
    """A section for each command, in the order of the help text, followed by its subcommands."""
    return "\n\n".join(_parts(click.Context(program, info_name="callworker", **program.context_settings)))


def contexts(above: click.Context) -> Iterator[click.Context]:
    """A context for each command of the group that `above` belongs to."""
    group = above.command
    if isinstance(group, click.Group):
        for name in group.list_commands(above):
            if command := group.get_command(above, name):
                yield click.Context(command, info_name=name, parent=above)


def _parts(above: click.Context) -> Iterator[str]:
    for context in contexts(above):
        command, path = context.command, context.command_path
        yield f"{'#' * len(path.split())} {path}"
        yield f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```"
        yield _prose(command.help or "")
        yield from _options(context)
        yield from _examples(command.epilog or "")
        yield from _parts(context)


def _prose(text: str) -> str:
    """The help text, each paragraph on one line."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _options(context: click.Context) -> Iterator[str]:
    options = [option for option in context.command.get_params(context) if isinstance(option, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [(code(names), text) for names, text in records if "--help" not in names]
    if rows:
        yield table(("option", "meaning"), rows)


def _examples(epilog: str) -> Iterator[str]:
    lines = re.sub(r"^\x08?\s*Example:\n", "", epilog).splitlines()
    if lines:
        yield "\n".join([MARK, "", "```sh", *(line.strip() for line in lines), "```"])
