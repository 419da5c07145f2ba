"""The names of the queues, and which of them takes an account's jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Queue

from worker.broker.queues import CALLS, INTAKE, RESULTS, SHARD_QUEUES, TASK_QUEUES, of_type, queue_of
from worker.core.shards import SHARDS, shard_of


@given(st.text(min_size=1))
def test_an_accounts_queue_is_that_of_its_shard(account: str) -> None:
    """Queue and state follow one number, whatever the account is called."""
    assert queue_of(account).name == f"calls.{shard_of(account)}"


@pytest.mark.parametrize(
    ("account", "name"), [("acme", "calls.14"), ("globex", "calls.10"), ("initech", "calls.0")]
)
def test_an_account_keeps_its_queue(account: str, name: str) -> None:
    """An account keeps its queue from one release to the next; otherwise its jobs would overtake each other."""
    assert queue_of(account).name == name


def test_workers_look_at_every_queue() -> None:
    """The shards' queues come beside `calls`, which stock producers use; no name is taken twice."""
    assert (CALLS, *SHARD_QUEUES) == TASK_QUEUES
    names = [queue.name for queue in (*TASK_QUEUES, INTAKE, RESULTS)]
    assert len(set(names)) == SHARDS + 3


def test_shard_queues_are_like_calls() -> None:
    """Durable, and of the same type; a routing key of their own keeps Celery from giving them that of `calls`."""
    same = [(each["durable"], each["queue_arguments"]) for each in map(Queue.as_dict, TASK_QUEUES)]
    assert same == [same[0]] * len(TASK_QUEUES)
    assert all(queue.routing_key == queue.name for queue in TASK_QUEUES)


@pytest.mark.parametrize("queue_type", [None, "quorum", "classic"])
def test_queues_are_declared_with_the_type_that_is_named(queue_type: str | None) -> None:
    """All else of them stays, and those that everybody shares are left as they are."""
    wanted = {"x-queue-type": queue_type} if queue_type else None
    typed = of_type(queue_type, TASK_QUEUES)
    assert [queue.as_dict() for queue in typed] == [
        queue.as_dict() | {"queue_arguments": wanted} for queue in TASK_QUEUES
    ]
    assert Queue.as_dict(CALLS)["queue_arguments"] is None
