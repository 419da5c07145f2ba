"""A running sandbox whose pauses take no time, a client of it, and a way to wait for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from worker.sandbox import Sandbox

from .sandbox_client import Client, RecordedSleep


@pytest.fixture
def sleep() -> RecordedSleep:
    return RecordedSleep()


@pytest.fixture
def sandbox(sleep: RecordedSleep) -> Iterator[Sandbox]:
    with Sandbox(sleep=sleep) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Polls a condition of a real process, and fails if it has not come true within 20 s."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            time.sleep(0.002)

    return wait
