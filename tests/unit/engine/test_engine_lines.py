"""The lines of one worker: so many deliveries to an endpoint at once, and those behind wait for good news only."""

from __future__ import annotations

from dataclasses import replace

import gevent
from gevent.event import Event

from tests.doubles.deliveries import NAMED, UNNAMED, delivery
from worker.delivery.ports import Conclusion, Delivery, Health, Verdict
from worker.engine.lines import Lines


class Endpoints:
    """Attempts end when `open` is set, with the health that `health` says of the job."""

    def __init__(self, **health: Health) -> None:
        self.begun: list[str] = []
        self.ended: list[Conclusion] = []
        self.open, self._health, self.now = Event(), health, 0.0
        self.lines = Lines(self.attempt, self.ended.append, lambda: self.now)

    def attempt(self, made: Delivery) -> Conclusion:
        self.begun.append(made.job_id)
        self.open.wait()
        health = self._health.get(made.job_id.replace("-", "_"), Health.GOOD)
        return Conclusion(made, Verdict.DELIVERED, "word", health)

    def enter(self, *deliveries: Delivery) -> list[gevent.Greenlet[..., None]]:
        greenlets = [gevent.spawn(self.lines.enter, one) for one in deliveries]
        gevent.idle()
        return greenlets

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one.delivery.job_id, one.why) for one in self.ended]


def some(*numbers: int, key: str = NAMED.key) -> list[Delivery]:
    return [replace(delivery(number, key), concurrency=2) for number in numbers]


def test_no_more_are_in_flight_than_may_be() -> None:
    """The others begin in order, one whenever one has ended; another endpoint is not concerned."""
    endpoints = Endpoints()
    greenlets = endpoints.enter(*some(1, 2, 3, 4), *some(5, key=UNNAMED.key))
    assert endpoints.begun == ["job-1", "job-2", "job-5"]
    endpoints.open.set()
    gevent.joinall(greenlets, timeout=30)
    assert endpoints.begun == ["job-1", "job-2", "job-5", "job-3", "job-4"]
    assert len(endpoints.ended) == 5


def test_those_behind_a_failure_go_back() -> None:
    """They spend no attempt: the store knows whether the endpoint is to get another one."""
    endpoints = Endpoints(job_1=Health.BAD)
    greenlets = endpoints.enter(*some(1, 2, 3, 4))
    endpoints.open.set()
    gevent.joinall(greenlets, timeout=30)
    assert endpoints.told == [("job-1", "word"), ("job-3", "behind"), ("job-4", "behind"), ("job-2", "word")]
    assert {one.verdict for one in endpoints.ended[1:3]} == {Verdict.RETURNED}


def test_delivery_whose_lease_would_end_before_it_goes_back() -> None:
    """It waited too long behind others."""
    endpoints = Endpoints()
    late = [replace(one, begins_by=5.0) for one in some(1, 2, 3)]
    greenlets = endpoints.enter(*late)
    endpoints.now = 5.1
    endpoints.open.set()
    gevent.joinall(greenlets, timeout=30)
    assert sorted(endpoints.told) == [("job-1", "word"), ("job-2", "word"), ("job-3", "late")]
