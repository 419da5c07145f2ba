"""`callworker cancel ID`: takes back a job that waits."""

from __future__ import annotations

from typing import Any

import click
import redis

from worker.cli import places
from worker.cli.audited import Trail, why_option
from worker.cli.output import example, json_option, print_json, say
from worker.core.canceling import Canceling
from worker.core.cancels import NOT_FOUND, Answer, Cancel, Canceled, Noted, Stays, Withdrawn
from worker.core.events import Status
from worker.core.jobs import ACCOUNT_PATTERN, ID_PATTERN
from worker.core.records import Later
from worker.settings import Settings
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts
from worker.state.views import JobViews


@click.command(
    epilog=example("callworker cancel order-4711", "callworker cancel order-4711 --why 'ordered twice'")
)
@click.argument("job_id", metavar="ID")
@click.option("--account", metavar="NAME", help="Cancel it only if it is a job of this account.")
@why_option
@json_option
def command(job_id: str, account: str | None, why: str, as_json: bool) -> None:
    """End a job that waits, without a call. Its event is `call.expired` with the code CANCELED.

    A job that may have rung its phone already ends as `call.unknown`. A job that is being dialled or has ended is not
    changed, and the exit status is 1. A job that is not known yet ends without a call if it comes within an hour.
    """
    if not ID_PATTERN.fullmatch(job_id):
        raise click.UsageError(f"{job_id!r} is not the id of a job")
    if account is not None and not ACCOUNT_PATTERN.fullmatch(account):
        raise click.UsageError(f"{account!r} is not the name of an account")
    settings = Settings.from_env()
    with places.store(settings) as client:
        answer = _canceled(client, settings, Cancel(job_id, account), why)
    if as_json:
        print_json(_document(job_id, answer))
    elif not isinstance(answer, Stays):
        say(f"{job_id}: {_told(answer)}")
    if isinstance(answer, Stays):
        if as_json:
            raise click.exceptions.Exit(1)
        raise click.ClickException(f"{job_id} is not canceled: {_told(answer)}")


def _canceled(client: redis.Redis, settings: Settings, cancel: Cancel, why: str) -> Answer:
    """Cancel the job. Raises UsageError if the accounts file lacks its account, so that its webhooks are not known."""
    accounts = places.accounts(settings)
    view = JobViews(client).find(cancel.job_id)
    owner = view.account if view else ""
    if view is not None and not view.ended and owner and owner not in accounts:
        raise click.UsageError(f"the job's account {owner!r} is not in the accounts file")
    Trail(client, settings, why).note("cancel", account=owner or cancel.account or "", job=cancel.job_id)
    ledger = RedisLedger(
        store_scripts(client),
        lease_seconds=settings.proxstop_timeout,
        retention_seconds=settings.retention_seconds,
        replay_seconds=settings.replay_seconds,
    )
    (answer,) = Canceling(ledger, accounts).take_back([cancel])
    if isinstance(answer, Later):
        raise answer.cause
    return answer


def _told(answer: Answer) -> str:
    match answer:
        case Withdrawn(event=event) if event.status is Status.UNKNOWN:
            return "canceled, and ended as unknown: an earlier attempt may have rung the phone"
        case Withdrawn():
            return "canceled"
        case Canceled():
            return "was canceled before"
        case Noted():
            return "not known yet: if it comes within an hour, it ends without a call"
        case Stays(state="dialling"):
            return "it is being dialled"
        case Stays(account=account, state=state):
            return (
                f"no job of {account} is on record under this id"
                if state == NOT_FOUND
                else f"it has ended as {state}"
            )


def _document(job_id: str, answer: Answer) -> dict[str, Any]:
    match answer:
        case Withdrawn(event=event):
            status: str | None = event.status
        case Stays(state=state):
            status = state
        case _:
            status = None
    return {
        "id": job_id,
        "canceled": not isinstance(answer, Stays),
        "known": not isinstance(answer, Noted),
        "status": status,
        "message": _told(answer),
    }
