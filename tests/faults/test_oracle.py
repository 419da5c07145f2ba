"""The oracle's own rules."""

from __future__ import annotations

from tests.faults.load import Sent
from tests.faults.oracle import Oracle

STRANGE = b'{"id": "evt_1", "type": "endpoint.disabled", "data": {"account": "acme", "endpoint": "calls"}}'


def judged(oracle: Oracle) -> list[str]:
    jobs: list[Sent] = []
    return oracle.judge(jobs, [], [], [], lambda _: "").details


def test_event_that_is_no_jobs_is_not_judged() -> None:
    """The results queue has events of endpoints too; one of a job that nobody sent is a violation."""
    oracle = Oracle()
    oracle.queued(STRANGE, 1.0)
    assert judged(oracle) == []
    oracle.queued(b'{"id": "evt_2", "type": "call.placed", "data": {"id": "nobodys"}}', 1.0)
    assert judged(oracle) == ["uncalled for: an event of nobodys"]
