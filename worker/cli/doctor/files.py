"""The operator's files, and the secrets that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from worker.accounts import Accounts
from worker.cli.doctor.finding import Finding
from worker.errors import ConfigurationError
from worker.settings import Settings

SECRETS_MEND = "set it where the worker is started; producers need no keys"


def check(settings: Settings) -> Iterator[Finding]:
    """The accounts file, each account's key and webhook secrets, the provider's error table."""
    try:
        accounts = Accounts.load(settings.accounts_file)
    except ConfigurationError as problem:
        yield Finding.fail("accounts", str(problem), "write that file, or name another with ACCOUNTS_FILE")
    else:
        yield Finding.ok("accounts", f"{', '.join(accounts)} in {settings.accounts_file}")
        yield from _secrets(accounts)
    yield _error_table(settings)


def _secrets(accounts: Accounts) -> Iterator[Finding]:
    for name, account in accounts.items():
        endpoints = account.webhooks
        problems = list(_problems([account.api_key, *(endpoint.secrets for endpoint in endpoints)]))
        for problem in problems:
            yield Finding.fail(f"secrets of {name}", problem, SECRETS_MEND)
        if not problems:
            yield Finding.ok(f"secrets of {name}", f"API key, {len(endpoints)} webhook(s)")


def _problems(readers: list[Callable[[], object]]) -> Iterator[str]:
    for read in readers:
        try:
            read()
        except ConfigurationError as problem:
            yield str(problem)


def _error_table(settings: Settings) -> Finding:
    from worker.provider import Codes

    try:
        Codes.load(settings.provider_errors_file)
    except ConfigurationError as problem:
        return Finding.fail(
            "error table", str(problem), "correct it, or name another with PROVIDER_ERRORS_FILE"
        )
    return Finding.ok("error table", str(settings.provider_errors_file))
