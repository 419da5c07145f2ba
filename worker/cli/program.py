"""The command group: finds commands by name, and turns every error into one line and an exit status."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from worker import __version__
from worker.cli.failures import FAILED, INTERRUPTED, explain
from worker.cli.output import drop_what_is_not_taken, flush, say, spell_out_what_has_no_sign

GARBAGE_THRESHOLD = 20_000
"""Objects between two searches for cycles. With Python's 700, a command that shows 50,000 accounts takes a quarter
longer."""


class Program(click.Group):
    """A group of commands. Each is a module of this package with a `command`; `lines` maps names to a line of help.

    A command is imported only when it is used: the list in the help text comes from `lines`.
    """

    def __init__(self, lines: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options, context_settings={"help_option_names": ["-h", "--help"]})
        self._lines = dict(lines)
        click.version_option(__version__, prog_name="callworker")(self)
        click.option(
            "--no-color", is_flag=True, expose_value=False, callback=_colorless, help="Same as NO_COLOR=1."
        )(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the given order."""
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in self._lines:
            return None
        command: click.Command = import_module(f"worker.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does, and suggest similar names for an unknown one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = " or ".join(get_close_matches(args[0], self._lines))
            hint = f" (did you mean {near}?)" if near else ""
            raise click.UsageError(error.message.rstrip(".") + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help text."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run one command line and exit. No error shows a traceback."""
        options |= {"prog_name": "callworker", "standalone_mode": False}
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
        spell_out_what_has_no_sign()
        try:
            status = super().main(*args, **options) or 0
            flush()
        except BrokenPipeError:
            status = FAILED
        except Exception as error:
            line, status = explain(error)
            if line:
                say(f"callworker: {line}", err=True)
        except KeyboardInterrupt:
            status = INTERRUPTED
        drop_what_is_not_taken()
        sys.exit(status)


def _colorless(_: click.Context, __: click.Parameter, given: bool) -> None:
    if given:
        os.environ["NO_COLOR"] = "1"
