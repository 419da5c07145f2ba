"""The report of the demo: the outcome of the jobs, limits and rates, refs, webhooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from worker.cli.demo.performance import Seen
from worker.cli.demo.scenario import Planned
from worker.cli.demo.verdict import AccountRow, CaseRow, Verdict, expected
from worker.cli.output import table
from worker.core.events import Status, event_type

MAX_REFS = 3
MAX_PROBLEMS = 20


def for_people(
    jobs: Sequence[Planned], seen: Seen, verdict: Verdict, metrics_url: str
) -> Iterator[RenderableType]:
    """Yield the report part by part."""
    columns = ["kind of job", "jobs", "must end as", "did", "requests"]
    yield table(columns, _case_lines(verdict.cases), title="\nJobs and their outcome")
    yield table(["outcome", "expected", "seen"], _outcomes(jobs, seen), title="\nBy outcome")
    columns = ["account", "limit", "most in a period", "sustained", "webhooks", ""]
    yield table(
        columns, map(_account_cells, verdict.accounts), title="\nLimits, measured at the provider; webhooks"
    )
    yield table(["job", "ref"], list(_refs(jobs, seen))[:MAX_REFS], title="\nSome refs")
    yield f"\nMessages that no event can answer, kept as dead letters: {seen.dead_letters}"
    yield f"Metrics page while it ran: {metrics_url}"
    yield from _last_word(len(jobs), seen, verdict)


def for_machines(jobs: Sequence[Planned], seen: Seen, verdict: Verdict, metrics_url: str) -> dict[str, Any]:
    """The report as one JSON object."""
    return {
        "ok": verdict.ok,
        "problems": list(verdict.problems),
        "seconds": round(seen.seconds, 1),
        "jobs": len(jobs),
        "cases": [_case_document(row) for row in verdict.cases],
        "accounts": [_account_document(row) for row in verdict.accounts],
        "refs": dict(_refs(jobs, seen)),
        "dead_letters": seen.dead_letters,
        "metrics_url": metrics_url,
    }


def _mark(ok: bool) -> Text:
    return Text("ok", style="green") if ok else Text("WRONG", style="bold red")


def _case_lines(rows: Sequence[CaseRow]) -> Iterator[Sequence[str | Text]]:
    """Yield the kinds of jobs, grouped by account."""
    account = ""
    for row in rows:
        if row.case.account != account:
            account = row.case.account
            yield (Text(account, style="bold"),)
        yield _case_cells(row)


def _case_cells(row: CaseRow) -> tuple[str | Text, ...]:
    wanted = expected(row.case)
    ended = ", ".join(f"{count} {told}" for told, count in row.ended.items() if told != wanted)
    requests = " or ".join(str(number) for number in sorted(row.requests))
    did = Text(str(row.ended.get(wanted, 0)), style="green" if row.ok else "bold red")
    did.append(f" ({ended})" if ended else "")
    return f"  {row.case.story}", str(row.case.count), short(wanted), did, requests


def short(told: str) -> str:
    """The outcome without an error code that only repeats the status."""
    status, _, code = told.partition(" ")
    return status if code in ("OUTCOME_UNKNOWN", "EXPIRED") else told


def _outcomes(jobs: Sequence[Planned], seen: Seen) -> Iterator[tuple[object, ...]]:
    wanted = Counter(job.case.status for job in jobs)
    types = Counter(event["type"] for events in seen.events.values() for event in events.values())
    return ((status.value, wanted[status], types[event_type(status)]) for status in Status)


def _account_cells(row: AccountRow) -> tuple[str | Text, ...]:
    repeats = f", {row.webhooks_repeated} repeat dropped" if row.webhooks_repeated else ""
    return (
        row.account.name,
        f"{row.account.rate}, burst {row.account.burst}",
        f"{row.most} in a {row.period}, {row.allowed} allowed",
        f"{row.sustained:.2f}/s of {row.rate:.2f}/s" if row.sustained is not None else "-",
        f"{row.webhooks_verified} of {row.webhooks_wanted} verified{repeats}",
        _mark(row.ok),
    )


def _refs(jobs: Sequence[Planned], seen: Seen) -> Iterator[tuple[str, str]]:
    for job in jobs:
        for event in seen.events.get(job.id, {}).values():
            if event["type"] == event_type(Status.PLACED):
                yield job.id, event["data"]["ref"]


def _last_word(total: int, seen: Seen, verdict: Verdict) -> Iterator[RenderableType]:
    if verdict.ok:
        told = f"\nAll {total} jobs ended as expected, no limit was exceeded, every webhook was verified"
        yield Text(f"{told} ({seen.seconds:.0f} s).", style="bold green")
        return
    yield Text(f"\nProblems: {len(verdict.problems)}", style="bold red")
    yield from (Text(f"  {problem}") for problem in verdict.problems[:MAX_PROBLEMS])
    if seen.complaints:
        yield Text("\nThe worker's last warnings and errors:", style="bold")
        yield from (Text(f"  {line}") for line in seen.complaints)


def _case_document(row: CaseRow) -> dict[str, Any]:
    return {
        "account": row.case.account,
        "case": row.case.story,
        "jobs": row.case.count,
        "expected": expected(row.case),
        "ended": dict(row.ended),
        "requests": {str(number): jobs for number, jobs in row.requests.items()},
        "ok": row.ok,
    }


def _account_document(row: AccountRow) -> dict[str, Any]:
    return {
        "account": row.account.name,
        "rate": row.account.rate,
        "burst": row.account.burst,
        "requests": row.requests,
        "most_in_one_period": row.most,
        "allowed": row.allowed,
        "sustained_per_second": row.sustained,
        "webhooks_expected": row.webhooks_wanted,
        "webhooks_verified": row.webhooks_verified,
        "webhooks_repeated": row.webhooks_repeated,
        "ok": row.ok,
    }
