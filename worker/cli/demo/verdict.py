"""Compares the outcome of the demo with the plan, by job and by account. Requests are counted at the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.cli.demo.performance import Seen, wanted_webhooks
from worker.cli.demo.props import Props
from worker.cli.demo.scenario import BROKEN_MESSAGES, Case, Planned
from worker.core.accounts import Account
from worker.core.limits import parse_rate

_PERIOD_NAMES = {"s": "second", "m": "minute", "h": "hour"}


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One kind of job: how often each outcome was seen, how many jobs cost how many requests, and whether all is ok."""

    case: Case
    ended: Mapping[str, int]
    requests: Mapping[int, int]
    ok: bool


@dataclass(frozen=True, slots=True)
class AccountRow:
    """The limit of one account, and what the sandbox measured; times are in seconds.

    `most` is the highest number of requests in any window of one period, ends included, and `allowed` is its limit.
    `sustained` is the rate per second without the first burst, or None if there were too few requests.
    """

    account: Account
    period: str
    requests: int
    allowed: int
    most: int
    rate: float
    sustained: float | None
    webhooks_wanted: int
    webhooks_verified: int
    webhooks_repeated: int

    @property
    def ok(self) -> bool:
        return self.most <= self.allowed and self.webhooks_verified == self.webhooks_wanted


@dataclass(frozen=True)
class Verdict:
    """All rows, and a sentence for every problem. Without a problem the demo succeeded."""

    cases: Sequence[CaseRow]
    accounts: Sequence[AccountRow]
    problems: Sequence[str]

    @property
    def ok(self) -> bool:
        return not self.problems


def judge(props: Props, jobs: Sequence[Planned], seen: Seen) -> Verdict:
    """Compare the plan with the outcome."""
    cases = [_case_row(case, group, props, seen) for case, group in _grouped(jobs)]
    accounts = [_account_row(account, props, jobs, seen) for account in props.accounts.values()]
    problems = [*_of_jobs(props, jobs, seen), *_of_accounts(accounts), *_of_the_whole(props, jobs, seen)]
    return Verdict(cases, accounts, problems)


def most_in_any_window(moments: Sequence[float], window_seconds: float) -> int:
    """The highest number of `moments` (seconds, ascending) in any window of that length, both ends included."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > window_seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def outcome(job: Planned, seen: Seen) -> str:
    """How a job ended: its status and error code, or all of them if it ended several times."""
    told = []
    for event in seen.events.get(job.id, {}).values():
        error = event["data"].get("error")
        told.append(event["type"].removeprefix("call.") + (f" {error['code']}" if error else ""))
    return " + ".join(told) or "nothing"


def expected(case: Case) -> str:
    """The expected outcome, spelled as `outcome` does."""
    return f"{case.status.value} {case.error}".strip()


def _grouped(jobs: Sequence[Planned]) -> list[tuple[Case, list[Planned]]]:
    groups: dict[int, tuple[Case, list[Planned]]] = {}
    for job in jobs:
        groups.setdefault(id(job.case), (job.case, []))[1].append(job)
    return list(groups.values())


def _case_row(case: Case, group: Sequence[Planned], props: Props, seen: Seen) -> CaseRow:
    return CaseRow(
        case,
        Counter(outcome(job, seen) for job in group),
        Counter(len(seen.calls.get(job.phone, ())) for job in group),
        ok=not any(_wrong(job, props, seen) for job in group),
    )


def _wrong(job: Planned, props: Props, seen: Seen) -> str:
    """Say what is wrong with a job. Empty if nothing is."""
    if outcome(job, seen) != expected(job.case):
        return f"{job.id} ended as {outcome(job, seen)}, not {expected(job.case)}"
    account = props.accounts.get(job.case.account)
    wanted = job.case.sent(account) if account else 0
    sent = len(seen.calls.get(job.phone, ()))
    return f"{job.id} cost {sent} requests, not {wanted}" if sent != wanted else ""


def _of_jobs(props: Props, jobs: Sequence[Planned], seen: Seen) -> Iterator[str]:
    for job in jobs:
        if wrong := _wrong(job, props, seen):
            yield wrong
        account = props.accounts.get(job.case.account)
        rung = sum(call.rung for call in seen.calls.get(job.phone, ()))
        if account and rung > 1 + account.redials:
            yield f"{job.id} may have rung {rung} times"
    for stranger in seen.events.keys() - {job.id for job in jobs}:
        yield f"an event came for {stranger}, which was not enqueued"


def _account_row(account: Account, props: Props, jobs: Sequence[Planned], seen: Seen) -> AccountRow:
    requests, period_us = parse_rate(account.rate)
    phones = {job.phone for job in jobs if job.case.account == account.name}
    moments = sorted(call.unix for phone in phones for call in seen.calls.get(phone, ()))
    hooks = {hook.url.rpartition("/")[2] for hook in account.webhooks}
    received = [one for one in seen.webhooks if one.path.rpartition("/")[2] in hooks and one.verified]
    return AccountRow(
        account=account,
        period=_PERIOD_NAMES[account.rate[-1]],
        requests=len(moments),
        allowed=requests + account.burst,
        most=most_in_any_window(moments, period_us / 1_000_000),
        rate=requests * 1_000_000 / period_us,
        sustained=_sustained(moments, account.burst),
        webhooks_wanted=wanted_webhooks(props.accounts, jobs)[account.name],
        webhooks_verified=sum(not one.repeated for one in received),
        webhooks_repeated=sum(one.repeated for one in received),
    )


def _sustained(moments: Sequence[float], burst: int) -> float | None:
    seconds = moments[-1] - moments[0] if moments else 0.0
    return (len(moments) - burst) / seconds if seconds and len(moments) > burst else None


def _of_accounts(rows: Sequence[AccountRow]) -> Iterator[str]:
    for row in rows:
        if row.most > row.allowed:
            yield f"{row.account.name}: {row.most} requests in one {row.period}, {row.allowed} are allowed"
        if row.webhooks_verified != row.webhooks_wanted:
            yield f"{row.account.name}: {row.webhooks_verified} webhooks came, not {row.webhooks_wanted}"


def _of_the_whole(props: Props, jobs: Sequence[Planned], seen: Seen) -> Iterator[str]:
    forged = sum(not one.verified for one in seen.webhooks)
    if forged:
        yield f"{forged} webhooks had no valid signature"
    if any(seen.bodies.get(one.event_id, "").encode() != one.body for one in seen.webhooks):
        yield "a webhook's body is not that of the event on the results queue"
    if seen.dead_letters != len(BROKEN_MESSAGES):
        yield f"there are {seen.dead_letters} dead letters, not {len(BROKEN_MESSAGES)}"
    finished = _finished_total(seen.metrics)
    if finished != len(jobs):
        yield f"the metrics page counts {finished} finished jobs, not {len(jobs)}"
    hidden = [job.phone for job in jobs] + props.api_keys() + [f"{v}" for v in _secrets(props)]
    if any(secret in seen.log or secret in "".join(seen.bodies.values()) for secret in hidden):
        yield "a whole phone number, a key or a secret appears in the worker's log or in an event"


def _secrets(props: Props) -> list[str]:
    return [value for value in props.environ.values() if value.startswith("whsec_")]


def _finished_total(metrics: str) -> int:
    lines = (line for line in metrics.splitlines() if line.startswith("callworker_jobs_finished_total{"))
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)
