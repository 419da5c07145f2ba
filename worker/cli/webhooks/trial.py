"""`callworker webhooks test`: sends a signed event to an endpoint, and says what came back."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from worker.cli.audited import why_option
from worker.cli.output import example, json_option, print_json, say
from worker.cli.webhooks.advice import advice
from worker.cli.webhooks.named import account_option
from worker.cli.webhooks.opened import Opened, opened
from worker.cli.webhooks.show import described
from worker.core.endpoints import Endpoint
from worker.core.events import new_event_id, rfc3339
from worker.delivery.excerpts import Excerpts
from worker.delivery.ports import Attempt, AttemptResult, Destination
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.privacy.redaction import redactor, register_secret
from worker.state.endpoint_views import EndpointViews

TYPE = "endpoint.test"


@click.command(
    "test", epilog=example("callworker webhooks test orders", "callworker webhooks test orders --json")
)
@click.argument("endpoint")
@account_option
@why_option
@json_option
@click.pass_context
def command(ctx: click.Context, endpoint: str, account: str | None, why: str, as_json: bool) -> None:
    """Send a signed event of type `endpoint.test` to an endpoint from this machine; say what came back, and how to
    correct what is wrong.

    The request is made as a worker makes it, with the secrets of this shell's environment and files. It is no delivery:
    it has no number, is not repeated, and changes nothing in the endpoint's state. The exit status is 1 if the answer
    is not 2xx.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME.
    """
    with opened(endpoint, account, why) as found:
        if found.hook is None:
            raise click.ClickException(f"{found.name} is not in the accounts file, so it has no url")
        event_id = new_event_id()
        found.note("test", {"event": event_id})
        attempt = _sent(found, found.hook, event_id)
        told = _document(found, event_id, attempt)
    if as_json:
        print_json(told)
    else:
        _print(found, told)
    ctx.exit(not told["ok"])


def _sent(found: Opened, hook: Endpoint, event_id: str) -> Attempt:
    settings, now = found.settings, time.time()
    secrets = Secrets(register=register_secret)
    sender = WebhookSender(secrets, proxy=settings.webhook_proxy, contact=settings.webhook_contact)
    try:
        return sender.send(hook, event_id, _body(found.destination, event_id, now), int(now))
    finally:
        sender.close()


def _body(destination: Destination, event_id: str, unix_seconds: float) -> bytes:
    event = {
        "id": event_id,
        "type": TYPE,
        "timestamp": rfc3339(int(unix_seconds * 1_000_000)),
        "data": {"account": destination.account, "endpoint": destination.endpoint_key},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _document(found: Opened, event_id: str, attempt: Attempt) -> dict[str, Any]:
    account, key = found.destination
    (state,) = EndpointViews(found.client).states([found.destination])
    return {
        "account": account,
        "endpoint": key,
        "event": event_id,
        "ok": attempt.result is AttemptResult.DELIVERED,
        "result": attempt.result,
        "status": attempt.status,
        "cause": attempt.cause,
        "rule": attempt.rule,
        "problem": attempt.problem,
        "seconds": round(attempt.seconds, 3),
        "answer": Excerpts(redactor.text).of(attempt.body) or None,
        "advice": advice(attempt) or None,
        "state": described(state),
    }


def _print(found: Opened, told: dict[str, Any]) -> None:
    came = f"answered {told['status']}" if told["status"] else f"gave no answer ({_cause(told)})"
    say(f"{found.name} {came} after {told['seconds']} s" + (": it takes events" if told["ok"] else ""))
    if told["answer"]:
        say(f"answer: {told['answer']}")
    if told["advice"]:
        say(f"what to do: {told['advice']}")
    if told["state"] != "enabled":
        say(f"state: {told['state']}; `callworker webhooks enable {found.name}` lets deliveries go now")


def _cause(told: dict[str, Any]) -> str:
    return told["problem"] or (f"refused by rule {told['rule']}" if told["rule"] else told["result"])
