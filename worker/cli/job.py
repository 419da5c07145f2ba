"""`callworker job ID`: shows one job."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import Group, RenderableType
from rich.text import Text

from worker.cli import places
from worker.cli.output import console, example, from_now, json_option, print_json, printable, table
from worker.core.events import rfc3339
from worker.core.records import Reason
from worker.settings import Settings
from worker.state.job_view import CANCELED, JobView, Wait
from worker.state.job_webhooks import JobWebhook
from worker.state.views import JobViews

WITHOUT_MOMENT = {
    Reason.CONCURRENCY: "the end of another call of the account, which has as many in flight as it may",
    Reason.NO_PLACES: "a free place at a worker: all are taken, or no worker runs",
    Reason.PAUSED: "the workers, which dial nothing at the moment: `callworker doctor` says why",
}
"""The words for the reasons of which nobody knows when they end."""

CANCELED_EARLY = "before it came; if it comes within an hour of the cancel, it ends without a call"


@click.command(epilog=example("callworker job order-4711"))
@click.argument("job_id", metavar="ID")
@json_option
def command(job_id: str, as_json: bool) -> None:
    """Show a job's state and history, what became of its webhooks, and if it waits, why and until when."""
    with places.store(Settings.from_env()) as client:
        view = JobViews(client).find(job_id)
    if view is None:
        raise click.ClickException(
            f"no record of a job {job_id!r}: no worker has accepted it yet, or it ended more than "
            "LEDGER_RETENTION ago"
        )
    if as_json:
        print_json(view.as_dict())
    else:
        console().print(_for_people(view))


def _for_people(view: JobView) -> RenderableType:
    lines = [f"{name:<10}{printable(value)}" for name, value in _facts(view).items() if value]
    steps = table(("time", "step", "detail"), ((rfc3339(s.at_us), s.name, s.detail) for s in view.history))
    parts: list[RenderableType] = [Text("\n".join(lines))]
    if view.history:
        parts += [Text("\nhistory", style="bold"), steps]
    if view.webhooks:
        parts += [Text("\nwebhooks", style="bold"), _webhooks(view.webhooks)]
    return Group(*parts)


def _webhooks(webhooks: Iterable[JobWebhook]) -> RenderableType:
    columns = ("time", "endpoint", "sequence", "state", "attempts", "answer")
    rows = ((rfc3339(w.at_us), w.endpoint, w.sequence, w.state, w.attempts, w.why or "") for w in webhooks)
    return table(columns, rows)


def _facts(view: JobView) -> dict[str, str]:
    """The facts about a job by name, in reading order. An unknown one is empty."""
    number = f"+{view.country} {view.phone}" if view.country and view.phone else view.phone or ""
    requests = "" if view.sent is None else f"{view.sent}"
    requests += f", {view.perhaps_rung} of them may have rung" if view.perhaps_rung else ""
    return {
        "job": view.id,
        "account": view.account,
        "state": view.state,
        "phone": number,
        "note": view.note or "",
        "accepted": rfc3339(view.accepted_us) if view.accepted_us is not None else "",
        "expires": _moment(view.expires_us) if not view.ended else "",
        "finished": rfc3339(view.finished_us) if view.finished_us else "",
        "requests": requests,
        "conflicts": _conflicts(view),
        "event": view.event_id or "",
        "trace": view.trace_id or "",
        **_outcome(view),
        "canceled": CANCELED_EARLY if view.state == CANCELED else "",
        "details": "dropped an hour after its end" if view.dropped else "",
        "waits for": describe_wait(view.wait) if view.wait else "",
        "place": f"{view.wait.ahead + 1} in its lane" if view.wait else "",
    }


def _conflicts(view: JobView) -> str:
    if view.conflict_us is None:
        return ""
    jobs = "1 other job" if view.conflicts == 1 else f"{view.conflicts} other jobs"
    return f"{jobs} with this id came, dropped; the last {_moment(view.conflict_us)}"


def _outcome(view: JobView) -> dict[str, str]:
    data = view.event["data"] if view.event else {}
    error = data.get("error", {})
    fields = "".join(f"; {name}: {text}" for name, text in error.get("fields", {}).items())
    told = f"{error['code']}: {error['message']}{fields}" if error else ""
    return {"ref": data.get("ref", ""), "error": told}


def describe_wait(wait: Wait) -> str:
    """Describe a wait for a person: the reason, until when, and whether that is too late."""
    late = "; it expires before its turn" if wait.expires_first else ""
    return f"{_reason(wait)}{late}"


def _reason(wait: Wait) -> str:
    until = _moment(wait.until_us)
    if wait.reason in WITHOUT_MOMENT:
        return WITHOUT_MOMENT[wait.reason]
    match wait.reason:
        case Reason.RATE_LIMIT:
            return f"the account's rate limit, until about {until}"
        case Reason.BACKOFF:
            return f"its next attempt, until {until}"
        case Reason.HELD if until:
            return f"its account, held ({wait.hold}); one job tries again {until}"
        case _:
            return f"its account, held ({wait.hold}), until `callworker accounts resume`"


def _moment(unix_us: int | None) -> str:
    return f"{rfc3339(unix_us)} ({from_now(unix_us)})" if unix_us else ""
