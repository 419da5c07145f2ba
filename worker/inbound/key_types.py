"""Knows which type each key of a Redis broker should have; for `doctor`."""

from __future__ import annotations

from worker.broker.queues import CALLS, INTAKE, RESULTS, TASK_QUEUES
from worker.inbound.redis_lists import PRIORITY_SUFFIXES, filing_keys


def expected_types() -> dict[str, str]:
    """Return the type of every key from which a worker takes messages or into which it puts events.

    Includes the keys in which kombu keeps bindings and unacknowledged messages.
    """
    lists = (f"{queue.name}{suffix}" for queue in (*TASK_QUEUES, RESULTS) for suffix in PRIORITY_SUFFIXES)
    bindings = (f"_kombu.binding.{queue.exchange.name}" for queue in (CALLS, RESULTS))
    filing = zip(filing_keys(CALLS.name), ("hash", "zset", "set"), strict=True)
    return {
        **dict.fromkeys(lists, "list"),
        INTAKE.name: "stream",
        **dict.fromkeys(bindings, "set"),
        **dict(filing),
    }
