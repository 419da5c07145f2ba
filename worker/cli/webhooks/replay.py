"""`callworker webhooks replay`: sends events to an endpoint again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from worker.cli import moments
from worker.cli.audited import why_option
from worker.cli.output import console, example, json_option, print_json, say, span, table
from worker.cli.webhooks.named import account_option
from worker.cli.webhooks.opened import Opened, opened
from worker.core.events import rfc3339
from worker.state.endpoint_log import EndpointLog, Logged, Selection, State
from worker.state.endpoint_views import EndpointViews
from worker.state.endpoints import RedisEndpoints

A_SECOND = 10
"""Events a second, unless --over is given."""

_NOTHING = "nothing to send; what waits already is not sent twice"
_MOST_NAMED = 20
"""Jobs that the audit trail names; of more it has the number."""

_CHOICES = ("failed", "since", "types", "jobs", "everything")
_COLUMNS = ("number", "job", "event", "type", "ended", "state", "why")


@click.command(
    "replay",
    epilog=example(
        "callworker webhooks replay orders --failed --dry-run",
        "callworker webhooks replay orders --since 6h --events call.placed --over 10m",
    ),
)
@click.argument("endpoint")
@account_option
@click.option(
    "--failed", "--missing", "failed", is_flag=True, help="What has no 2xx on record and does not wait."
)
@click.option("--since", metavar="TIME", help="What ended since a time, or a span such as `6h` or `7d`.")
@click.option(
    "--events",
    "types",
    multiple=True,
    metavar="PATTERN",
    help="Events of these types; `*` matches any characters.",
)
@click.option("--job", "jobs", multiple=True, metavar="ID", help="The event of this job. May be repeated.")
@click.option("--all", "everything", is_flag=True, help="Everything on record.")
@click.option("--over", metavar="SPAN", help="Spread them over so long, such as `10m`. Unset: 10 a second.")
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="At most so many, oldest first.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@why_option
@json_option
def command(endpoint: str, account: str | None, why: str, as_json: bool, **options: Any) -> None:
    """Send events to an endpoint again, which failed or were delivered. Several options together narrow the choice.

    An event keeps its id, its bytes and its number, is signed with today's secret, and gets a full round of attempts.
    What waits already is never sent twice. The records of ended jobs limit how far back this goes.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME.
    """
    selection, seconds = _selection(options), _spread_seconds(options["over"])
    with opened(endpoint, account, why) as found:
        log = EndpointLog(found.client, found.destination)
        _refuse_unknown(found, log, options["jobs"])
        chosen, count = log.chosen(selection, options["most"])
        if seconds is None:
            seconds = len(chosen) / A_SECOND
        sent = 0 if options["dry_run"] else _send(found, chosen, seconds, _told(options))
    told = {"selected": count, "sent": sent, "over_seconds": round(seconds, 3), "dry_run": options["dry_run"]}
    if as_json:
        account, key = found.destination
        print_json({"account": account, "endpoint": key, **told, "events": [one.as_dict() for one in chosen]})
    else:
        _print(found.name, chosen, told)


def _selection(options: Mapping[str, Any]) -> Selection:
    if not any(options[name] for name in _CHOICES):
        raise click.UsageError("say what to send: --failed, --since, --events, --job or --all")
    since = options["since"]
    return Selection(
        types=options["types"],
        since_us=0 if since is None else int(moments.past(since, "--since").timestamp() * 1_000_000),
        states=frozenset({State.GIVEN_UP} if options["failed"] else {State.GIVEN_UP, State.DELIVERED}),
        jobs=frozenset(options["jobs"]) or None,
    )


def _spread_seconds(text: str | None) -> float | None:
    return None if text is None else moments.span(text, "--over").total_seconds()


def _refuse_unknown(found: Opened, log: EndpointLog, jobs: tuple[str, ...]) -> None:
    unknown = log.jobs_without(jobs)
    if unknown:
        told = ", ".join(unknown)
        raise click.ClickException(
            f"no event for {found.name} is on record of: {told}; `callworker job` tells more"
        )


def _send(found: Opened, chosen: list[Logged], seconds: float, how: dict[str, Any]) -> int:
    """Send the events. Raises ClickException for a disabled endpoint, where they would only wait."""
    (state,) = EndpointViews(found.client).states([found.destination])
    if state.disabled:
        raise click.ClickException(
            f"{found.name} is disabled: first `callworker webhooks enable {found.name}`"
        )
    if not chosen:
        return 0
    found.note("replay", how | {"events": len(chosen), "over_seconds": round(seconds, 3)})
    found.warn_if_gone()
    jobs = (one.job_id for one in chosen)
    return RedisEndpoints(found.client).replay(found.destination, jobs, seconds)


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was selected, for the audit trail."""
    jobs = list(options["jobs"])
    how = {name: options[name] for name in ("failed", "since", "types")}
    how["jobs"] = jobs if len(jobs) <= _MOST_NAMED else len(jobs)
    return {name: value for name, value in how.items() if value}


def _print(name: str, chosen: list[Logged], told: dict[str, Any]) -> None:
    if told["dry_run"]:
        console().print(table(_COLUMNS, map(_row, chosen)))
    number = len(chosen) if told["dry_run"] else told["sent"]
    events, verb = ("1 event", "goes") if number == 1 else (f"{number} events", "go")
    verb = "would go" if told["dry_run"] else verb
    say(f"{events} {verb} to {name} again, over {span(told['over_seconds'])}" if number else _NOTHING)
    if told["selected"] > len(chosen):
        say(
            f"callworker: {told['selected']} are selected; these are the oldest {len(chosen)}, see --most",
            err=True,
        )


def _row(one: Logged) -> tuple[object, ...]:
    ended = rfc3339(one.finished_us)
    return one.sequence, one.job_id, one.event_id, one.event_type, ended, one.state, one.why or "-"
