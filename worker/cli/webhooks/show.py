"""`callworker webhooks show`: one endpoint as the workers see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from worker.cli.output import console, example, from_now, json_option, print_json, printable, say, table
from worker.cli.webhooks.named import account_option
from worker.cli.webhooks.opened import Opened, opened
from worker.core.events import rfc3339
from worker.state.endpoint_log import EndpointLog, Logged
from worker.state.endpoint_views import Breaker, EndpointState, EndpointView, EndpointViews

MOST_NUMBERS = 10_000
"""Numbers that --sequence shows at once."""

REASONS = {
    "gone": "it answered 410 Gone",
    "asked": "it answered with the header `webhook-delivery: disable`",
    "failing": "nothing but failures for five days",
    "operator": "by an operator",
}
"""Why an endpoint is disabled, for people."""

_RANGE = re.compile(r"([1-9][0-9]{0,14})(?:-([1-9][0-9]{0,14}))?")
_ATTEMPTS = ("time", "job", "number", "attempt", "result", "status", "seconds", "answer")
_NUMBERS = ("number", "state", "job", "event", "attempts", "why", "time")


@click.command(
    "show",
    epilog=example("callworker webhooks show orders", "callworker webhooks show orders --sequence 120-140"),
)
@click.argument("endpoint")
@account_option
@click.option(
    "--sequence",
    metavar="FROM-TO",
    help="Show what became of each of these numbers (header `callworker-sequence`) instead.",
)
@json_option
def command(endpoint: str, account: str | None, sequence: str | None, as_json: bool) -> None:
    """Show an endpoint's state: whether deliveries go to it, what waits and until when, what was given up in the last
    seven days and why, and the last 20 attempts with the first 200 bytes of each answer.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME.
    """
    numbers = None if sequence is None else _range(sequence)
    with opened(endpoint, account) as found:
        if numbers is not None:
            _show_numbers(EndpointLog(found.client, found.destination).between(*numbers), as_json)
            return
        views = EndpointViews(found.client)
        view, older = views.view(found.destination), {where: views.pending(where) for where in found.older}
    if as_json:
        print_json(_document(found, view))
    else:
        console().print(_for_people(found, view))
        for where, count in older.items():
            if count:
                say(f"from before it had its name {count} wait: `callworker webhooks show {'/'.join(where)}`")


def described(state: EndpointState) -> str:
    """The state of an endpoint and since or until when, for people."""
    if state.disabled:
        return f"disabled: {REASONS.get(state.disabled, state.disabled)}, {_moment(state.disabled_us)}"
    if state.breaker is Breaker.OPEN:
        return f"paused because too much failed; it is probed {_moment(state.open_until_us)}"
    if state.breaker is Breaker.PROBING:
        return "paused because too much failed; one delivery probes it now"
    if state.slow_until_us:
        return f"enabled, left alone because it is overloaded, until {_moment(state.slow_until_us)}"
    return "enabled"


def _range(text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last < first + MOST_NUMBERS:
        raise click.UsageError(
            f"--sequence must be a number or a range such as 120-140, of at most {MOST_NUMBERS}"
        )
    return first, last


def _show_numbers(numbers: list[Logged], as_json: bool) -> None:
    if as_json:
        print_json([one.as_dict() for one in numbers])
    else:
        console().print(table(_NUMBERS, map(_number, numbers)))


def _number(one: Logged) -> tuple[object, ...]:
    state = {"expired": "older than the records", "not_given": "not given yet"}.get(one.state, one.state)
    changed = rfc3339(one.changed_us) if one.changed_us else "-"
    attempts = one.attempts if one.job_id else "-"
    return one.sequence, state, one.job_id or "-", one.event_id or "-", attempts, one.why or "-", changed


def _document(found: Opened, view: EndpointView) -> dict[str, Any]:
    account, key = found.destination
    rate = None if found.hook is None else found.hook.rate
    configured = {"in_accounts_file": found.hook is not None, "rate": rate}
    return {"account": account, "endpoint": key, **configured, **view.as_dict()}


def _for_people(found: Opened, view: EndpointView) -> RenderableType:
    lines = [f"{name:<11}{printable(value)}" for name, value in _facts(found, view)]
    attempts = table(_ATTEMPTS, map(_attempt, view.attempts))
    return Group(Text("\n".join(lines)), Text("\nlast attempts", style="bold"), attempts)


def _facts(found: Opened, view: EndpointView) -> Iterator[tuple[str, str]]:
    state, rate = view.state, found.hook.rate if found.hook else None
    yield "endpoint", found.name + ("" if found.hook else " (not in the accounts file)")
    yield "state", described(state)
    yield "failures", f"{state.failures} in a row"
    yield "in flight", f"{state.in_flight} of {state.concurrency}" + (f"; at most {rate}" if rate else "")
    yield "waiting", _waiting(view)
    yield "given up", _given_up(view)
    yield "sequence", f"the last number is {state.sequence}" if state.sequence else "no event yet"


def _waiting(view: EndpointView) -> str:
    oldest = f"; the oldest has been on its way since {_moment(view.oldest_us)}" if view.oldest_us else ""
    following = f"; next attempt {_moment(view.next_us)}" if view.next_us and view.waiting else ""
    return f"{view.waiting}{oldest}{following}"


def _given_up(view: EndpointView) -> str:
    if not view.given_up:
        return "none in the last seven days"
    reasons = ", ".join(f"{count} {why}" for why, count in view.given_up.most_common())
    return f"{view.given_up.total()} in the last seven days: {reasons}"


def _attempt(one: dict[str, Any]) -> tuple[object, ...]:
    answer = " ".join(str(one["body"]).split()) or "-"
    status, at = one["status"] or one["cause"] or "-", rfc3339(one["at"] * 1000)
    return at, one["job"], one["sequence"], one["attempt"], one["result"], status, one["seconds"], answer


def _moment(unix_us: int | None) -> str:
    return f"{rfc3339(unix_us)} ({from_now(unix_us)})" if unix_us else "-"
