"""Data that Redis has confirmed is still there after a kill, even with a slow disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.core.records import Ending, Lease, Recorded, Seen, Source
from worker.core.retry import Tally
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.state.dead_letters import RedisDeadLetters

ACME = account("acme", "10/s")
SYNC_SECONDS = 1.5
"""Longer than any step of a test before the kill takes, and less than what Redis waits for before it writes anyway."""


class Slow:
    """A Redis on a slow disk, and the ledger on it."""

    def __init__(self, folder: Path) -> None:
        self.server = RedisServer(folder, sync_seconds=SYNC_SECONDS)
        self.url = self.server.url
        self._connect()

    def sync(self) -> None:
        """Return when a sync has just begun."""
        wait_until(lambda: not self._syncs(), "no sync is under way")
        self.client.incr("something-to-sync")
        wait_until(self._syncs, "a sync is under way")

    def restart(self) -> None:
        """Kill it and start it again, with what is in its file. New connections lead to it."""
        self.server.kill()
        self.server.start()
        self.client.close()
        self._connect()

    def _connect(self) -> None:
        self.client = redis.Redis.from_url(self.url)
        self.ledger = redis_ledger(self.client)

    def _syncs(self) -> bool:
        facts: Any = self.client.info("persistence")
        return bool(facts["aof_pending_bio_fsync"])


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    redis_on_slow_disk = Slow(tmp_path)
    with redis_on_slow_disk.server:
        yield redis_on_slow_disk
        redis_on_slow_disk.client.close()


def test_an_intent_is_written_before_anyone_hears_of_it(slow: Slow) -> None:
    """Else the job would be found as if nobody had dialled it, and rung again."""
    slow.sync()
    (lease,) = slow.ledger.admit([application("job-1", ACME)])
    slow.restart()
    assert isinstance(lease, Lease)
    assert slow.ledger.admit([application("job-1", ACME)]) == [Seen("dialling")]


def test_an_outcome_is_written_before_anyone_hears_of_it(slow: Slow) -> None:
    """Else its event would be out, and another one would follow."""
    (lease,) = slow.ledger.admit([application("job-1", ACME)])
    assert isinstance(lease, Lease)
    slow.sync()
    recorded = slow.ledger.record([Ending(lease, ACME, Tally(sent=1), placed(lease))])
    slow.restart()
    assert recorded == [Recorded.DONE]
    assert slow.ledger.admit([application("job-1", ACME)]) == [Seen("placed")]


def test_events_and_dead_letters_are_written_before_they_count_as_out(slow: Slow) -> None:
    """Else they would be struck off elsewhere, and be nowhere."""
    results = ResultsQueue(slow.url)
    results.publish([OutgoingEvent("call.placed", "{}")])
    slow.sync()
    results.publish([OutgoingEvent("call.failed", "{}")])
    slow.restart()
    assert slow.client.llen("results") == 2
    slow.sync()
    RedisDeadLetters(slow.client).bury("not JSON", Source.STREAM, b"?")
    slow.restart()
    assert len(RedisDeadLetters(slow.client).newest(9)) == 1
