"""Refuses to start, with a line on standard error for each problem and exit status 1."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import click
import structlog

from worker.embedded import EmbeddedServerError
from worker.errors import ConfigurationError
from worker.preflight.misspelt import misspelt
from worker.settings import Settings

log = structlog.get_logger(__name__)


@contextmanager
def refused_in_lines() -> Iterator[None]:
    """End the program if settings, files or the machine are not as they must be."""
    try:
        yield
    except ConfigurationError as error:
        raise SystemExit("\n".join(map(_line, [*error.problems, *_unread_variables()]))) from None
    except EmbeddedServerError as error:
        raise SystemExit(_line(str(error))) from None


def _line(problem: str) -> str:
    """Make one line of the problem, even if a path in it has control characters."""
    return "callworker: " + "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in problem)


def settings_or_exit(environ: Mapping[str, str] = os.environ, *, of_worker: bool | None = None) -> Settings:
    """Read the settings. If one is wrong the program ends, and a worker also reports all else that prevents its start.

    Unless `of_worker` says whether this is a worker, Celery's command line does: it loads the app after it has read
    `worker` in `celery -A worker.app worker`.
    """
    with refused_in_lines():
        try:
            return Settings.from_env(environ)
        except ConfigurationError:
            if of_worker or _is_worker_program():
                _check_all(environ)
            raise


def tell_unread_variables(named: Iterable[str]) -> None:
    """Log each variable that nothing reads and that looks like a setting. `named` are those of the accounts file."""
    for name, meant in misspelt(os.environ, named).items():
        log.warning("settings.variable_unread", variable=name, meant=meant)


def _unread_variables() -> list[str]:
    """A hint for each name that looks misspelt, which may be why a setting is wrong."""
    return [
        f"{name} is set, and nothing reads it; did you mean {meant}?"
        for name, meant in misspelt(os.environ).items()
    ]


def _is_worker_program() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.invoked_subcommand == "worker"


def _check_all(environ: Mapping[str, str]) -> None:
    # Producers load the app too, and do not need what this imports.
    from worker.preflight import checks  # noqa: PLC0415

    settings, wrong = Settings.valid_part(environ)
    checks.check(settings, wrong, environ)
