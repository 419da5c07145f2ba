"""Turns the failure of a command into one line for a person and an exit status."""

from __future__ import annotations

import errno
import re
import traceback

import click

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

# An argument without an option before it may be a PIN or a phone number.
_SURPLUS = re.compile(r"(?<=unexpected extra argument) \(.*\)|(?<=unexpected extra arguments) \(.*\)")


class Interrupted(click.ClickException):
    """Signals Ctrl-C when there is still something to report."""


def explain(error: Exception) -> tuple[str, int]:
    """The line, without line breaks and secrets, and the exit status. The line is empty if there is nothing to say."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return "", WRONG_USAGE
    if isinstance(error, click.Abort):
        # At a prompt click raises this without its cause, for Ctrl-C and for the end of the input alike.
        return "", INTERRUPTED
    if isinstance(error, click.UsageError):
        return _usage(error), WRONG_USAGE
    if isinstance(error, Interrupted):
        return _one_line(error.format_message()), INTERRUPTED
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), FAILED
    return _one_line(_foreseen(error) or _fault(error)), FAILED


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "callworker"
    told = _SURPLUS.sub("", _one_line(error.format_message()).rstrip("."))
    return f"{told}; see `{path} --help`"


def _foreseen(error: Exception) -> str | None:
    from worker.embedded.errors import EmbeddedServerError
    from worker.errors import BrokerUnavailable, ConfigurationError, InvalidJob, StoreUnavailable, WrongKey

    if isinstance(error, InvalidJob | ConfigurationError):
        return str(error)
    if isinstance(error, BrokerUnavailable | StoreUnavailable | WrongKey | EmbeddedServerError):
        return _clean(str(error))
    return _clean(_system(error)) if isinstance(error, OSError) else None


def _system(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use: end the program that uses it, or choose another with --port"
    text = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {text}" if error.filename else text


def _fault(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = f"a bug in callworker, at {frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
    return _clean(text)


def _clean(text: str) -> str:
    """Hide the passwords of the environment, which a library's message may quote."""
    from worker.privacy.redaction import redactor, register_passwords

    register_passwords()
    return redactor.text(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
