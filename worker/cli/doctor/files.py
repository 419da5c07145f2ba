"""Checks the operator's files, and the secrets that they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worker.cli.doctor import guarding, signing
from worker.cli.doctor.finding import Finding
from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.preflight import open_files
from worker.settings import Settings

SECRETS_REMEDY = "correct it in the worker's environment or in that file; a producer needs no keys"


def check(settings: Settings) -> Iterator[Finding]:
    """Check the accounts file, each account's key and webhook secrets, and the provider's error table."""
    accounts, faults = Accounts.valid_part(settings.accounts_file)
    remedy = _accounts_remedy(settings.accounts_file)
    yield from (Finding.fail("accounts", fault, remedy) for fault in faults)
    if not faults:
        yield Finding.ok("accounts", f"{', '.join(accounts)} in {settings.accounts_file}")
    for account in accounts.values():
        yield from guarding.check(account)
    yield from _secrets(accounts)
    yield from _error_table(settings)
    yield from _certificates(settings)
    yield from _open_files(settings)


def _accounts_remedy(path: Path) -> str:
    if path.exists():
        return "correct that line; docs/reference/accounts.md says what each field may hold"
    return "write that file, or name another in ACCOUNTS_FILE"


def _secrets(accounts: Accounts) -> Iterator[Finding]:
    for name, account in accounts.items():
        try:
            account.secrets()
        except ConfigurationError as error:
            yield from (
                Finding.fail(f"secrets of {name}", problem, SECRETS_REMEDY) for problem in error.problems
            )
        else:
            yield Finding.ok(f"secrets of {name}", f"API key, {len(account.webhooks)} webhook(s)")
            yield from signing.check(account)


def _error_table(settings: Settings) -> Iterator[Finding]:
    from worker.provider import Codes

    try:
        Codes.load(settings.provider_errors_file)
    except ConfigurationError as error:
        remedy = "correct it, or name another file in PROVIDER_ERRORS_FILE"
        yield from (Finding.fail("error table", problem, remedy) for problem in error.problems)
    else:
        yield Finding.ok("error table", str(settings.provider_errors_file))


def _certificates(settings: Settings) -> Iterator[Finding]:
    """Check the files of certificates. Yields nothing if all are usable, or none is named."""
    from worker.preflight.checks import check_certificates

    try:
        check_certificates(settings)
    except ConfigurationError as error:
        for line in error.problems:
            yield Finding.fail("certificates", line, "name a file with at least one certificate in PEM form")


def _open_files(settings: Settings) -> Iterator[Finding]:
    """Check the limit of open files. Yields nothing if it is high enough for the calls in flight."""
    try:
        open_files.check(settings.concurrency)
    except ConfigurationError as error:
        yield Finding.fail("open files", str(error), "lower CONCURRENCY, or raise the limit")
