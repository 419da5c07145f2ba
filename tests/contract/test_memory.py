"""How much of Redis jobs and accounts take; docs/explanation/capacity.md and `worker.core.costs` have the figures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from ops.bench.memory import ENDED, HOOK, REMEMBERED, Store, bytes_of_a_job, bytes_of_a_remembered_job
from tests.unit.test_sizing import USUAL
from worker.core import costs, sizing
from worker.core.endpoints import Endpoint
from worker.state.journal import KEPT_SECONDS, MAX_BYTES

PAGE = Path(__file__).parents[2] / "docs/explanation/capacity.md"
JOBS = 3000
VERSION_OF_PAGE = "7."
OF_A_JOB, OF_ALL = (0.85, 1.1), 0.15
"""What a job may take, as a share of the page's figure, and how far off that of a whole installation may be."""
MOST_REMEMBERED_BYTES = 400


def told() -> dict[str, float]:
    """The bytes of the page, by the words of its first table."""
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \|$", PAGE.read_text(), re.MULTILINE)
    return {kind: float(size.replace(",", "")) for kind, size in rows}


@pytest.fixture(autouse=True)
def server_of_page(client: redis.Redis) -> None:
    """Leave out servers whose tables grow by other steps and at other times than those of the page's figures."""
    facts = client.info("server")
    # Valkey also tells the version of Redis that its clients may take it for.
    if "valkey_version" in facts or not str(facts["redis_version"]).startswith(VERSION_OF_PAGE):
        pytest.skip("the figures are those of Redis 7")


@pytest.fixture
def found(client: redis.Redis) -> dict[str, float]:
    return bytes_of_a_job(client, JOBS)


def test_a_job_takes_what_the_page_says(found: dict[str, float]) -> None:
    """Waiting, dialled, ended, and with webhooks: at most a tenth more, and at most 15 % less. An hour after its end it
    is small."""
    page, (least, most) = told(), OF_A_JOB
    assert {
        kind: size / page[kind] for kind, size in found.items() if not least < size / page[kind] <= most
    } == {}
    assert found.keys() == page.keys()
    assert 0 < found[REMEMBERED] < MOST_REMEMBERED_BYTES < found[ENDED]


@pytest.mark.parametrize("hooks", [(), (HOOK,)], ids=["plain", "webhook"])
def test_an_installation_takes_what_size_computes(client: redis.Redis, hooks: tuple[Endpoint, ...]) -> None:
    """Accounts, jobs that wait, and jobs that have ended in the last hour: within 15 %."""
    store = Store(client, *hooks)
    empty = store.used_bytes()
    store.declare(JOBS)
    store.end(JOBS)
    store.publish()
    if hooks:
        store.deliver()
    store.wait(JOBS)
    minute = replace(
        USUAL, per_second=JOBS / 60, after_seconds=60, accounts=JOBS, backlog=JOBS, webhooks=len(hooks)
    )
    parts = sizing.memory_parts(replace(minute, peak_per_second=0.0, results_backlog=0), 1)
    predicted = sum(parts.values()) - parts["itself"] - parts["broker"]
    assert (store.used_bytes() - empty) / predicted == pytest.approx(1, abs=OF_ALL)


def test_a_worker_takes_for_a_job_that_it_remembers_what_size_computes(client: redis.Redis) -> None:
    """Within 15 %, and for as long and of as many as its journal keeps."""
    assert bytes_of_a_remembered_job(client, JOBS) == pytest.approx(costs.JOURNAL_JOB_BYTES, rel=OF_ALL)


def test_a_worker_remembers_as_many_jobs_as_size_computes(client: redis.Redis) -> None:
    """For as long as its journal keeps them, and of as many as have room there, within 15 %."""
    store = Store(client)
    store.end(1)
    (ended,) = store.journal.facts()
    assert costs.JOURNAL_SECONDS == KEPT_SECONDS
    assert MAX_BYTES / ended.bytes == pytest.approx(costs.JOURNAL_JOBS, rel=OF_ALL)
