"""Runs what the contract tests import on a Redis Cluster of three instead of on one Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import Cluster
from worker.core.shards import CLUSTER, ON_ONE_SERVER, Layout
from worker.state import keys

OF_ONE_SERVER = {
    # Each server has a share of the places, so it takes more than one call to fill them with jobs of one shard.
    "test_no_more_are_leased_than_asked_for",
    "test_expired_jobs_come_in_portions",
    "test_a_job_that_expires_stays",
    "test_a_job_that_was_judged_lost_ends",
    "test_all_that_limits_let_go_is_eligible",
    "test_a_lane_that_is_held_up_steadily_has_one_reason",
    "test_no_more_are_taken_than_asked_for",
    "test_conclusion_after_the_end_of_its_lease_counts",
    "test_busy_worker_looks_for_lost_leases_now_and_then",
    "test_worker_that_is_answered_quickly_gets_some_ahead",
    "test_endpoints_take_turns",
    # They take long, and their clock has to be moved on many shards.
    "test_what_a_hold_held_up_is_not_put_down_to_the_workers",
    "test_a_lane_is_held_up_by_its_rate_again_once_there_are_places",
    "test_history_does_not_grow_for_ever",
    # They stop, change or scan the one server.
    "test_a_waiting_job_never_goes_by_itself",
    "test_an_ended_job_keeps_no_pin",
    "test_every_key_of_a_job_lies_on_its_shard",
    "test_strangers_take_a_bounded_memory",
    "test_a_connection_lost_between_calls_is_replaced",
    "test_a_server_that_takes_no_writes_is_unavailable",
    "test_forgotten_scripts_are_loaded_again",
    "test_a_replica_is_unavailable",
    # It makes a client of its own, which knows no stored clock.
    "test_doctor_tells_of_a_hold_and_of_the_last_day",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is true of one server only."""
    here = Path(__file__).parent
    items[:] = [
        item
        for item in items
        if here not in item.path.parents or item.name.partition("[")[0] not in OF_ONE_SERVER
    ]


@pytest.fixture
def redis_url(cluster: Cluster) -> str:
    """The URL of an empty cluster. Its shards have the names that the tests know."""
    keys.use(Layout(CLUSTER, ON_ONE_SERVER.tags))
    return cluster.url
