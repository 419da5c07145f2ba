"""`callworker webhooks secrets`: which secrets an endpoint has, without showing them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from worker.cli import places
from worker.cli.output import console, example, json_option, print_json, say, table
from worker.cli.webhooks import named
from worker.configuration.signing_secrets import SigningSecret, written_moment
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError
from worker.settings import Settings

COLUMNS = ("account", "endpoint", "source", "signature", "secret", "bytes", "signs until")


@click.command(
    "secrets", epilog=example("callworker webhooks secrets", "callworker webhooks secrets orders --json")
)
@click.argument("endpoint", required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, endpoint: str | None, as_json: bool) -> None:
    """Show the secrets of one endpoint or of all: where each one is, its last four characters, its length in bytes, and
    until when it signs. For private keys (v1a) also show the public key, which subscribers verify with.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME. Reads this shell's environment
    and files. The exit status is 1 if a secret cannot be read.
    """
    accounts = places.accounts(Settings.from_env())
    chosen = [named.endpoint(accounts, endpoint)] if endpoint else list(named.all_endpoints(accounts))
    rows, problems = _read(chosen)
    if as_json:
        print_json(rows)
    else:
        _print(rows)
    for problem in problems:
        say(f"callworker: {problem}", err=True)
    ctx.exit(bool(problems))


def _read(chosen: list[tuple[str, Endpoint]]) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each secret, and a line for each that cannot be read."""
    rows, problems = list[dict[str, Any]](), list[str]()
    for account, hook in chosen:
        try:
            rows += [_document(account, hook, secret) for secret in hook.secrets()]
        except ConfigurationError as error:
            problems += error.under(f"{account}/{hook.key}: ").problems
    return rows, problems


def _document(account: str, hook: Endpoint, secret: SigningSecret) -> dict[str, Any]:
    return {
        "account": account,
        "endpoint": hook.key,
        "source": secret.source if hook.secret_file is None else f"{hook.secret_file}: {secret.source}",
        "signature": secret.version.value,
        "secret": secret.masked,
        "bytes": len(secret.key),
        "until": None if secret.until is None else written_moment(secret.until),
        "signs": secret.signs_at(time.time()),
        "public_key": secret.public_key,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    """Print the table, and each public key on a line of its own, where it is not folded."""
    console().print(table(COLUMNS, map(_row, rows)))
    for row in rows:
        if row["public_key"]:
            say(f"public key of {row['secret']}: {row['public_key']}")


def _row(found: dict[str, Any]) -> Iterator[object]:
    end = found["until"] or "always"
    shown = found | {"signs until": end if found["signs"] else f"expired at {end}"}
    return (shown[column] for column in COLUMNS)
