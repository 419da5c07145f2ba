"""`callworker webhooks rotate`: makes a new secret beside the old one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from worker.cli import moments, places
from worker.cli.audited import Trail, why_option
from worker.cli.output import example, json_option, print_json, say
from worker.cli.webhooks import named
from worker.configuration import secret_files
from worker.configuration.credentials import NotACredential
from worker.configuration.replacing import rewrite
from worker.configuration.signing_secrets import (
    SigningSecret,
    Version,
    new_secret,
    signing_secret,
    written_moment,
)
from worker.configuration.textfiles import UnreadableFile
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError, StoreUnavailable, WrongKey
from worker.settings import Settings

NEW = "_NEW"
"""What the name of a variable gets for the new secret, and loses again at the next rotation."""


@click.command(
    "rotate",
    epilog=example("callworker webhooks rotate orders", "callworker webhooks rotate orders --until 7d"),
)
@click.argument("endpoint")
@click.option(
    "--until",
    default="24h",
    show_default=True,
    help="How long the old secret signs too: minutes, hours or days (`90m`, `24h`, `7d`), or a time such as "
    "2026-12-01T09:00:00Z.",
)
@click.option(
    "--signature",
    type=click.Choice([version.value for version in Version]),
    help="The kind of secret, for an endpoint with both.",
)
@click.option(
    "--no-audit", is_flag=True, help="Rotate without an entry on the audit trail, as while Redis is away."
)
@why_option
@json_option
def command(
    endpoint: str, until: str, signature: str | None, no_audit: bool, why: str, as_json: bool
) -> None:
    """Make a new secret of 32 bytes for an endpoint. Until the time given, the old secret signs beside it.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME. If the endpoint has a
    `secret_file`, write the secret to it; running workers notice that. Otherwise print what to set in the workers'
    environment. Refuse while an earlier rotation is under way.

    The audit trail is in Redis. If no Redis answers, nothing is rotated, unless with --no-audit.
    """
    settings = Settings.from_env()
    account, hook = named.endpoint(places.accounts(settings), endpoint)
    end, version = moments.future(until, "--until"), _version(hook, signature)
    try:
        secret = signing_secret(new_secret(version), "")
    except NotACredential as error:
        raise ConfigurationError(f"{version.value} {error}") from None
    if not no_audit:
        _note(settings, why, account, hook, {"signature": version.value, "old_until": written_moment(end)})
    told = {
        "account": account,
        "endpoint": hook.key,
        "signature": version.value,
        "public_key": secret.public_key,
        **_made(hook, secret, end),
    }
    if as_json:
        print_json(told)
    else:
        _print(told)


def _note(settings: Settings, why: str, account: str, hook: Endpoint, detail: dict[str, Any]) -> None:
    try:
        with places.store(settings) as client:
            trail = Trail(client, settings, why)
            trail.note("webhooks rotate", account=account, endpoint=hook.key, detail=detail)
    except (StoreUnavailable, WrongKey) as error:
        raise StoreUnavailable(
            f"{error}; nothing was rotated (--no-audit rotates without an entry)"
        ) from error


def _version(hook: Endpoint, given: str | None) -> Version:
    has = " and ".join(hook.signatures)
    if given is None and len(hook.signatures) > 1:
        raise click.UsageError(f"the endpoint has {has}: name one with --signature")
    version = hook.signatures[0] if given is None else Version(given)
    if version not in hook.signatures:
        raise click.UsageError(f"the endpoint has {has} in signatures, not {version.value}")
    return version


def _made(hook: Endpoint, secret: SigningSecret, until: datetime) -> dict[str, Any]:
    """Put the secret where the endpoint's secrets are, or say what to set there."""
    if hook.secret_file is None:
        return _in_environment(hook, secret, until)
    return _in_file(hook.secret_file, secret, until)


def _in_file(path: Path, secret: SigningSecret, until: datetime) -> dict[str, Any]:
    change = partial(secret_files.rotated, new=secret.written, now=datetime.now(UTC), until=until)
    try:
        rewrite(path, change)
    except (UnreadableFile, secret_files.WrongSecretFile, secret_files.RotationRefused) as error:
        raise ConfigurationError(f"secret_file {path}: {error}") from None
    ends = [one.until for one in secret_files.read(path) if one.version is secret.version and one.until]
    return {"secret_file": str(path), "old_signs_until": written_moment(ends[0]) if ends else None}


def _in_environment(hook: Endpoint, secret: SigningSecret, until: datetime) -> dict[str, Any]:
    name = _only_name(hook, secret.version)
    new = name.removesuffix(NEW) if name.endswith(NEW) and name != NEW else f"{name}{NEW}"
    return {
        "variable": new,
        "secret": secret.written,
        "secret_env": [new, *hook.secret_env],
        "old": name,
        "old_signs_until": written_moment(until),
    }


def _only_name(hook: Endpoint, version: Version) -> str:
    """The variable that holds the secret to replace. Raises ConfigurationError if several hold one of that version."""
    names = list(hook.secret_env)
    if len(hook.signatures) > 1:
        secrets = zip(names, hook.secrets(), strict=True)
        names = [name for name, secret in secrets if secret.version is version]
    if len(names) > 1:
        raise ConfigurationError(f"secret_env names {' and '.join(names)}: {secret_files.under_way(None)}")
    return names[0]


def _print(told: dict[str, Any]) -> None:
    for line in _lines_of_file(told) if "secret_file" in told else _lines_of_environment(told):
        say(line)
    if told["public_key"]:
        say(f"Give the subscriber this public key: {told['public_key']}")


def _lines_of_file(told: dict[str, Any]) -> list[str]:
    end = told["old_signs_until"]
    lines = [
        f"{told['account']}/{told['endpoint']} has a new {told['signature']} secret in {told['secret_file']}.",
        f"Workers sign with it from their next delivery on{f', and with the old one until {end}' if end else ''}.",
    ]
    give = f"Give the subscriber the new secret{' before that time' if end else ''}."
    return lines if told["public_key"] else [*lines, give]


def _lines_of_environment(told: dict[str, Any]) -> list[str]:
    give = "" if told["public_key"] else "Give the subscriber the new secret. "
    return [
        "Set in the environment of the workers, beside the old secret:",
        f"  {told['variable']}={told['secret']}",
        f"In the accounts file, at {told['account']}/{told['endpoint']}, write this and restart the workers:",
        f"  secret_env = {json.dumps(told['secret_env'])}",
        f"{give}After {told['old_signs_until']}, remove {told['old']} from both, and restart the workers.",
    ]
