"""The limit of open files: calls need theirs, and webhooks get what is left."""

from __future__ import annotations

import resource

import pytest

from worker.errors import ConfigurationError
from worker.preflight import open_files

INFINITE = resource.RLIM_INFINITY


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft and the hard limit of a process, which may be set."""
    found = [256, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(found))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: found.__setitem__(slice(None), pair))
    return found


@pytest.mark.parametrize(
    ("before", "places", "after"),
    [
        ([256, INFINITE], 2048, [2398, INFINITE]),
        ([256, 4096], 2048, [2398, 4096]),
        ([256, 1000], 650, [1000, 1000]),
        ([256, 360], 16, [360, 360]),
        ([INFINITE, INFINITE], 2048, [INFINITE, INFINITE]),
        ([3000, 4096], 2048, [3000, 4096]),
    ],
)
def test_limit_is_raised_for_calls_and_webhooks(
    limit: list[int], before: list[int], places: int, after: list[int]
) -> None:
    """It is never lowered. Where it is too low for all webhooks there are fewer places for them, but a few always."""
    limit[:] = before
    assert open_files.allow(50, 2048) == places and limit == after


def test_calls_go_first(limit: list[int]) -> None:
    """A limit that is too low for the calls is an error that names the setting and what it needs."""
    limit[:] = [256, 349]
    with pytest.raises(
        ConfigurationError, match="CONCURRENCY: 50 needs 350 open files, but the limit is 349"
    ):
        open_files.allow(50, 16)


def test_fewer_webhooks_than_the_least_stay_as_they_are(limit: list[int]) -> None:
    """An operator who wants three in flight gets three."""
    limit[:] = [256, 350]
    assert open_files.allow(50, 3) == 3
