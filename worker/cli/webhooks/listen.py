"""`callworker webhooks listen`: posts an account's events to a receiver on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from worker.cli import places
from worker.cli.ending import any_end_like_ctrl_c
from worker.cli.output import example, json_option, print_json, say
from worker.cli.webhooks import named
from worker.cli.webhooks.forwarding import Posted, Selection, events, forward
from worker.configuration.signing_secrets import Version, new_secret
from worker.configuration.urls import http_url
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.core.events import Status, event_type
from worker.delivery.secrets import Secrets
from worker.errors import ConfigurationError
from worker.settings import Settings

VARIABLE = "SECRET_OF_THIS_RUN"
TYPES = tuple(event_type(status) for status in Status)
ANY_ADDRESS = ("0.0.0.0/0", "::/0")


class Signing(NamedTuple):
    """Where the secrets are, as fields of an Endpoint; who reads them; and a line that tells which they are."""

    fields: dict[str, Any]
    secrets: Secrets
    told: str


@click.command(
    "listen",
    epilog=example(
        "callworker webhooks listen acme --forward http://127.0.0.1:8000/hook",
        "callworker webhooks listen acme --endpoint orders --events call.failed --forward http://127.0.0.1:8000/hook",
    ),
)
@click.argument("account")
@click.option(
    "--forward", "url", metavar="URL", required=True, help="The address to post to, http:// or https://."
)
@click.option(
    "--endpoint",
    metavar="NAME",
    help="Sign as this endpoint of the account, and post the events that it wants. [default: its only endpoint, if it "
    "has one, and all events]",
)
@click.option(
    "--events",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Post only events of these types; `*` matches any characters. May be given several times.",
)
@json_option
def command(account: str, url: str, endpoint: str | None, patterns: tuple[str, ...], as_json: bool) -> None:
    """Post the events of ACCOUNT to a receiver that you work on, signed, from now until Ctrl-C. Print a line for each.

    The events come from a queue of its own, so that no other reader and no endpoint loses one. Each is posted once,
    whatever the answer. Sign with the endpoint's secret if this shell has it, otherwise with one that is made for this
    run and printed. `callworker-sequence` counts from 1.
    """
    settings = Settings.from_env()
    accounts = places.accounts(settings)
    hook = _endpoint(accounts, account, endpoint)
    own = hook.events if isinstance(hook, Endpoint) and endpoint else TYPES
    selection = _selection(account, patterns or own)
    signing = _signing(account, hook)
    target = _target(url, signing.fields)
    with any_end_like_ctrl_c():
        _post_all(settings, selection, signing, target, _print_json if as_json else _print_line)


def _post_all(
    settings: Settings,
    selection: Selection,
    signing: Signing,
    target: Endpoint,
    tell: Callable[[Posted], None],
) -> None:
    from worker.broker.own_queue import OwnQueue
    from worker.delivery.webhooks import WebhookSender
    from worker.http.waiting import end_quietly_at_ctrl_c
    from worker.telemetry import logs

    end_quietly_at_ctrl_c()
    with (
        closing(OwnQueue(places.broker(settings))) as queue,
        closing(WebhookSender(signing.secrets)) as sender,
    ):
        # A library or the reader of secrets may have something to say: not on standard output.
        logs.configure(settings.log_level, settings.log_format)
        say(f"callworker: {signing.told}", err=True)
        say(f"callworker: waiting for events of {selection.account}; Ctrl-C ends it", err=True)
        for posted in forward(sender, target, events(queue, selection)):
            tell(posted)


def _print_json(posted: Posted) -> None:
    print_json(posted.document())


def _print_line(posted: Posted) -> None:
    say(posted.line())


def _endpoint(accounts: Accounts, account: str, name: str | None) -> Endpoint | str:
    """The endpoint of that name, or the account's only one. If it has none or several, a text that says so."""
    if account not in accounts:
        raise click.UsageError(f"no account is named so; the accounts file has {', '.join(accounts)}")
    if name is not None:
        return named.endpoint(accounts, f"{account}/{name}")[1]
    hooks = accounts[account].webhooks
    if len(hooks) == 1:
        return hooks[0]
    return (
        f"{account} has several endpoints, name one to sign as it" if hooks else f"{account} has no endpoint"
    )


def _selection(account: str, patterns: tuple[str, ...]) -> Selection:
    selection = Selection(account, patterns)
    if not any(map(selection.fits, TYPES)):
        raise click.UsageError(f"no event has such a type; --events must fit one of {', '.join(TYPES)}")
    return selection


def _signing(account: str, hook: Endpoint | str) -> Signing:
    if isinstance(hook, str):
        return _of_this_run(hook)
    secrets = Secrets(os.environ)
    try:
        secrets.of(hook, time.time())
    except ConfigurationError as error:
        return _of_this_run(str(error))
    fields = hook.model_dump(include={"secret_env", "secret_file", "signatures"}, exclude_defaults=True)
    return Signing(fields, secrets, f"signing as {account}/{hook.key}")


def _of_this_run(why: str) -> Signing:
    secret = new_secret(Version.V1)
    told = f"signing with {secret}, made for this run: {why}"
    return Signing({"secret_env": [VARIABLE]}, Secrets({VARIABLE: secret}), told)


def _target(url: str, secrets: dict[str, Any]) -> Endpoint:
    """The receiver. A person named its address, so that any is allowed."""
    try:
        http_url(url)
    except ValueError as error:
        raise click.UsageError(f"--forward {error}") from None
    port = urlsplit(url).port
    allowed = {
        "allow_insecure": True,
        "allow_ports": [port] if port else [],
        "allow_networks": ANY_ADDRESS,
    }
    return Endpoint.model_validate({"url": url, **allowed, **secrets})
