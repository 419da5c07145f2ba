"""The demo's parts: its plan, its receiver, its judgement."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.demo.performance import Seen, is_complete
from worker.cli.demo.props import Props, gather
from worker.cli.demo.receiver import Received, Receiver
from worker.cli.demo.scenario import CASES, NO_SUCH_ACCOUNT, Planned, plan
from worker.cli.demo.verdict import judge, most_in_any_window
from worker.core.accounts import Accounts
from worker.core.events import Status
from worker.core.limits import parse_rate
from worker.delivery.signing import sign
from worker.sandbox import ServedRequest

SECRET = b"0123456789abcdef"


@pytest.fixture
def props(tmp_path: Path) -> Props:
    """The parts that the demo gathers before it starts anything."""
    return gather(tmp_path)


def test_plan_shows_every_ending_and_tells_jobs_apart() -> None:
    """All five outcomes are there; ids and numbers are each used by one job alone."""
    jobs = plan()
    assert {case.status for case in CASES} == set(Status)
    assert len({job.id for job in jobs}) == len({job.phone for job in jobs}) == len(jobs)


def test_plan_is_more_than_the_limits_let_through_at_once(props: Props) -> None:
    """Each account gets more good numbers than its burst, so that jobs must wait."""
    good = {
        account: sum(c.count for c in CASES if c.account == account and not c.ending)
        for account in props.accounts
    }
    assert all(good[name] > 2 * account.burst for name, account in props.accounts.items())


def test_props_fit_the_shipped_accounts(props: Props) -> None:
    """Keys and secrets are made up under the names that the accounts file gives, and are well-formed."""
    assert props.accounts.secrets(props.environ)
    assert {case.account for case in CASES} - {NO_SUCH_ACCOUNT} == set(props.accounts)
    assert set(props.hook_secrets()) == {f"/{name}" for name in props.accounts}


def test_webhooks_port_that_is_taken_is_changed_in_a_copy(tmp_path: Path, props: Props) -> None:
    """If another program holds the port, the copy of the accounts file has another port and is otherwise unchanged."""
    with Receiver("127.0.0.1", props.hook_port, {}):
        other = gather(tmp_path)
    assert other.hook_port != props.hook_port
    assert Path(other.environ["ACCOUNTS_FILE"]) == tmp_path / "accounts.toml"
    assert {account.rate for account in other.accounts.values()} == {a.rate for a in props.accounts.values()}


def test_receiver_verifies_and_drops_repeats() -> None:
    """The first event is taken but answered as if lost; its repeat is known as one; a forged one is refused."""
    with Receiver("127.0.0.1", 0, {"/acme": [SECRET]}) as receiver:
        statuses = [
            _post(receiver, "evt_1"),
            _post(receiver, "evt_1"),
            _post(receiver, "evt_2", secret=b"x" * 16),
        ]
        got = [(one.verified, one.repeated) for one in receiver.received()]
    assert statuses == [503, 204, 401]
    assert got == [(True, False), (True, True), (False, False)]


@given(st.lists(st.integers(0, 50), max_size=30).map(sorted), st.integers(0, 20))
def test_most_in_any_window_agrees_with_counting(moments: list[int], window: int) -> None:
    """The sliding count is that of every window that begins at a request, ends included."""
    counted = max((sum(start <= m <= start + window for m in moments) for start in moments), default=0)
    assert most_in_any_window(moments, window) == counted


def test_perfect_run_is_judged_well(props: Props) -> None:
    """A run in which everything came as planned has no problem."""
    jobs = plan()
    seen = _perfect(props, jobs)
    verdict = judge(props, jobs, seen)
    assert list(verdict.problems) == []
    assert is_complete(props.accounts, jobs, seen)


def test_event_of_another_type_is_left_out_of_the_run(props: Props) -> None:
    """The results queue may tell of more than jobs; the demo does not fail over it."""
    jobs = plan()
    seen = _perfect(props, jobs)
    seen.take_event('{"id": "evt_1", "type": "endpoint.failing", "data": {"account": "acme"}}')
    assert list(judge(props, jobs, seen).problems) == []


def test_wrong_outcome_is_found(props: Props) -> None:
    """A job that ended otherwise is named with both outcomes."""
    jobs = plan()
    seen = _perfect(props, jobs)
    job = next(job for job in jobs if job.case.status is Status.EXPIRED)
    seen.events[job.id] = {"evt": _event(job, "evt", Status.PLACED)}
    assert any(
        f"{job.id} ended as placed, not expired" in problem for problem in judge(props, jobs, seen).problems
    )


def test_second_outcome_is_found(props: Props) -> None:
    """Two events of different ids for one job are a problem even if they say the same."""
    jobs = plan()
    seen = _perfect(props, jobs)
    seen.events[jobs[0].id]["evt_other"] = _event(jobs[0], "evt_other", jobs[0].case.status)
    assert not judge(props, jobs, seen).ok


def test_missing_event_and_surplus_request_are_found(props: Props) -> None:
    """A job without an event, and one that cost a request too many, are each named."""
    jobs = plan()
    seen = _perfect(props, jobs)
    del seen.events[jobs[0].id]
    seen.calls = {**seen.calls, jobs[1].phone: [*seen.calls[jobs[1].phone], _call(jobs[1], 9e9)]}
    told = " ".join(judge(props, jobs, seen).problems)
    assert f"{jobs[0].id} ended as nothing" in told
    assert f"{jobs[1].id} cost" in told


def test_broken_limit_is_found(props: Props) -> None:
    """Requests that came all at once are more than the account may send."""
    jobs = plan()
    seen = _perfect(props, jobs)
    seen.calls = {phone: [replace(call, unix=0.0) for call in calls] for phone, calls in seen.calls.items()}
    assert any("are allowed" in problem for problem in judge(props, jobs, seen).problems)


def test_forged_changed_and_missing_webhooks_are_found(props: Props) -> None:
    """Each way in which webhooks can be wrong is a problem of its own."""
    jobs = plan()
    seen = _perfect(props, jobs)
    first, second, *rest = seen.webhooks
    seen.webhooks = [replace(first, verified=False), replace(second, body=b"{}"), *rest]
    told = " ".join(judge(props, jobs, seen).problems)
    assert "no valid signature" in told
    assert "webhooks came, not" in told
    assert "a webhook's body is not that" in told


def test_leak_into_the_log_is_found(props: Props) -> None:
    """A whole number in the worker's log is a problem."""
    jobs = plan()
    seen = _perfect(props, jobs)
    seen.log = f"dialled {jobs[0].phone}"
    assert any("worker's log" in problem for problem in judge(props, jobs, seen).problems)


def _post(receiver: Receiver, event_id: str, secret: bytes = SECRET) -> int:
    body, now = b"{}", int(time.time())
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign([secret], event_id, now, body),
    }
    try:
        with urlopen(Request(f"http://127.0.0.1:{receiver.port}/acme", body, headers), timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def _perfect(props: Props, jobs: list[Planned]) -> Seen:
    """The observations of a perfect run: requests a full slot apart, every webhook once and one twice."""
    seen = Seen(dead_letters=1, metrics=f'callworker_jobs_finished_total{{account="x"}} {len(jobs)}.0\n')
    calls: dict[str, list[ServedRequest]] = {}
    hooks: list[Received] = []
    moments = dict.fromkeys(props.accounts, 0.0)
    for job in jobs:
        event_id = f"evt_{job.id}"
        seen.take_event(json.dumps(_event(job, event_id, job.case.status)))
        account = props.accounts.get(job.case.account)
        if account is not None:
            calls[job.phone] = [
                _call(job, _next(moments, props.accounts, job)) for _ in range(job.case.sent(account))
            ]
            body = seen.bodies[event_id].encode()
            hooks += [
                Received(f"/{account.name}", event_id, body, True, False)
                for _ in account.endpoints_for(f"call.{job.case.status}")
            ]
    seen.calls, seen.webhooks = calls, [*hooks, replace(hooks[0], repeated=True)]
    return seen


def _next(moments: dict[str, float], accounts: Accounts, job: Planned) -> float:
    requests, period_us = parse_rate(accounts[job.case.account].rate)
    moments[job.case.account] += period_us / 1_000_000 / requests
    return moments[job.case.account]


def _event(job: Planned, event_id: str, status: Status) -> dict[str, object]:
    error = {} if status is Status.PLACED else {"error": {"code": job.case.error, "message": ""}}
    data = {"id": job.id, **error, **({"ref": "A" * 32} if status is Status.PLACED else {})}
    return {"id": event_id, "type": f"call.{status}", "timestamp": "", "data": data}


def _call(job: Planned, unix: float) -> ServedRequest:
    return ServedRequest(
        unix, "telephonecall", "POST", "xml", "****", "1", job.phone, "", "ref", False, 200, None
    )
