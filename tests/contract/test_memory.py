"""How much of Redis a job takes, by what it does; docs/explanation/capacity.md has the figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

from ops.bench.memory import ENDED, REMEMBERED, bytes_of_a_job

PAGE = Path(__file__).parents[2] / "docs/explanation/capacity.md"
JOBS = 3000
VERSION_OF_PAGE, ON_OTHERS = "7.", 1.25
"""Older and newer servers may take a quarter more."""
MOST_REMEMBERED_BYTES = 400


def told() -> dict[str, float]:
    """The bytes of the page, by the words of its first table."""
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \|$", PAGE.read_text(), re.MULTILINE)
    return {kind: float(size.replace(",", "")) for kind, size in rows}


@pytest.fixture
def found(client: redis.Redis) -> dict[str, float]:
    return bytes_of_a_job(client, JOBS)


def test_a_job_takes_no_more_than_the_page_says(client: redis.Redis, found: dict[str, float]) -> None:
    """Waiting, ended, and with a webhook: at most a tenth more than told. An hour after its end it is small."""
    page, version = told(), str(client.info("server")["redis_version"])
    most = 1.1 if version.startswith(VERSION_OF_PAGE) else ON_OTHERS
    assert {kind for kind, size in found.items() if size > most * page[kind]} == set()
    assert found.keys() == page.keys()
    assert 0 < found[REMEMBERED] < MOST_REMEMBERED_BYTES < found[ENDED]
