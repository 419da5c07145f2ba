"""Sends a file of jobs. It reports all errors first, and an interrupted file can be sent again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import click

from worker.cli import feasible, places
from worker.cli.ending import any_end_like_ctrl_c
from worker.cli.fileids import FileIds, secret_for
from worker.cli.jobfile import Line, Sheet
from worker.cli.output import say
from worker.cli.sending import send_all, tell
from worker.cli.served import accounts_at_hand, unserved, waiting
from worker.core.accounts import Accounts
from worker.core.jobs import Job
from worker.core.repeats import content
from worker.settings import Settings

MAX_LINES_SHOWN = 20
AGAIN = "run it again; jobs that were sent already are dropped"
NOT_AGAIN = "run it again with only the other lines: with --new-ids a repeated line is a new call"


def send_sheet(settings: Settings, sheet: Sheet, options: Mapping[str, Any]) -> int:
    """Send the jobs of a file and print their ids. Returns the exit status.

    `options` are those of the command. Raises ClickException if lines are not valid, and BrokerUnavailable.
    """
    broker_url = places.broker(settings)
    accounts = accounts_at_hand(settings)
    lines, problems = _sifted(sheet, accounts)
    _report(problems, skip=options["skip_invalid"])
    jobs = _with_ids(places.here(settings), sheet.content, lines, new=options["new_ids"])
    if accounts is not None:
        _warn(settings, jobs, accounts)
    again = NOT_AGAIN if options["new_ids"] else AGAIN
    with any_end_like_ctrl_c():
        send_all(broker_url, jobs, told=partial(tell, as_json=options["as_json"]), again=again)
    if problems:
        raise click.ClickException(f"jobs sent: {len(jobs)}; lines skipped: {len(problems)}")
    return 0


def _sifted(sheet: Sheet, accounts: Accounts | None) -> tuple[list[Line], list[str]]:
    """Split the lines into those to send, and a text for each other one."""
    lines, problems, first = [], list(sheet.problems), dict[str, Line]()
    for line in sheet.lines:
        wrong = unserved(line.job, accounts) or _conflict(line, first)
        if wrong:
            problems += [f"{sheet.name}:{line.number}: {field}: {text}" for field, text in wrong.items()]
        else:
            lines.append(line)
    return lines, problems


def _conflict(line: Line, first: dict[str, Line]) -> Mapping[str, str]:
    """The error for an id that another job of the file has: the worker would drop the later one."""
    if not line.has_id:
        return {}
    other = first.setdefault(line.job.id, line)
    same = other.job.account == line.job.account and content(other.job) == content(line.job)
    return {} if same else {"id": f"is already used by another job, in line {other.number}"}


def _report(problems: Sequence[str], *, skip: bool) -> None:
    for problem in problems[:MAX_LINES_SHOWN]:
        say(f"callworker: {problem}", err=True)
    if problems and not skip:
        more = len(problems) - MAX_LINES_SHOWN
        shown = f" ({more} more not shown)" if more > 0 else ""
        raise click.ClickException(f"nothing was sent; invalid lines: {len(problems)}{shown}")


def _with_ids(settings: Settings, whole: bytes, lines: Sequence[Line], *, new: bool) -> list[Job]:
    if all(line.has_id for line in lines):
        return [line.job for line in lines]
    ids = None if new else FileIds(secret_for(settings, whole))
    return [line.job if line.has_id else _named(line, ids) for line in lines]


def _named(line: Line, ids: FileIds | None) -> Job:
    made_up = f"job_{uuid.uuid4().hex}" if ids is None else ids.next(line.job, line.given.get("expires_at"))
    return line.job.model_copy(update={"id": made_up})


def _warn(settings: Settings, jobs: Sequence[Job], accounts: Accounts) -> None:
    names = {job.account for job in jobs}
    for warning in feasible.warnings(jobs, accounts, waiting(settings, names)):
        say(f"callworker: {warning}", err=True)
