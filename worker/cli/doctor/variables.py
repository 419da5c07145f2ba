"""Checks the settings themselves, and variables that look like a setting."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from worker.cli.doctor.finding import Finding
from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.preflight.checks import CELERY_BROKER, refuse_celerys_own
from worker.preflight.misspelt import misspelt
from worker.settings import Settings


def check(
    settings: Settings, wrong: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Yield a finding for each line of `wrong`, and for each variable that looks like a misspelt setting."""
    for line in wrong.values():
        yield Finding.fail("settings", line, "correct that variable")
    if not wrong:
        yield Finding.ok("settings", "valid")
    for name, meant in misspelt(environ, variables_named(settings)).items():
        yield Finding.warn("environment", f"{name} is set, and nothing reads it", f"did you mean {meant}?")
    if not wrong:
        yield from _celerys_own(settings, environ)


def variables_named(settings: Settings) -> set[str]:
    """The variables that the accounts file names. Empty if the file cannot be read."""
    try:
        accounts = Accounts.load(settings.accounts_file)
    except ConfigurationError:
        return set()
    return accounts.variables()


def _celerys_own(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        refuse_celerys_own(settings, environ)
    except ConfigurationError as error:
        yield Finding.fail("environment", str(error), f"unset {CELERY_BROKER}")
