"""What a person reads when a command fails: one line, and the exit status beside it."""

from __future__ import annotations

import errno
import re
import traceback

import click

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

# What stands on a command line without an option before it may be a PIN or a number.
_SURPLUS = re.compile(r"(?<=unexpected extra argument) \(.*\)|(?<=unexpected extra arguments) \(.*\)")


class Interrupted(click.ClickException):
    """Ctrl-C, after which there is something to say."""


def explain(problem: Exception) -> tuple[str, int]:
    """The line, without a line break or a secret in it, and the exit status. An empty line: nothing to say."""
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        problem.show()
        return "", WRONG_USAGE
    if isinstance(problem, click.Abort):
        # At a prompt click raises it without its cause, after Ctrl-C and at the end of the input alike.
        return "", INTERRUPTED
    if isinstance(problem, click.UsageError):
        return _usage(problem), WRONG_USAGE
    if isinstance(problem, Interrupted):
        return _one_line(problem.format_message()), INTERRUPTED
    if isinstance(problem, click.ClickException):
        return _one_line(problem.format_message()), FAILED
    return _one_line(_foreseen(problem) or _fault(problem)), FAILED


def _usage(problem: click.UsageError) -> str:
    path = problem.ctx.command_path if problem.ctx else "callworker"
    told = _SURPLUS.sub("", _one_line(problem.format_message()).rstrip("."))
    return f"{told}; see `{path} --help`"


def _foreseen(problem: Exception) -> str | None:
    from worker.embedded.errors import EmbeddedServerError
    from worker.errors import BrokerUnavailable, ConfigurationError, InvalidJob, StoreUnavailable, WrongKey

    if isinstance(problem, InvalidJob | ConfigurationError):
        return str(problem)
    if isinstance(problem, BrokerUnavailable | StoreUnavailable | WrongKey | EmbeddedServerError):
        return _clean(str(problem))
    return _clean(_system(problem)) if isinstance(problem, OSError) else None


def _system(problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return "the port is in use: choose another with --port"
    text = problem.strerror or str(problem) or type(problem).__name__
    return f"{problem.filename}: {text}" if problem.filename else text


def _fault(problem: Exception) -> str:
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    text = f"a fault of the program, at {frame.filename}:{frame.lineno}: {type(problem).__name__}: {problem}"
    return _clean(text)


def _clean(text: str) -> str:
    """Without the passwords of the environment, which a library's words may quote."""
    from worker.privacy.redaction import redactor, register_passwords

    register_passwords()
    return redactor.text(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
