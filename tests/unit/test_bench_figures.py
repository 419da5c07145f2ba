"""What the bench computes from what it saw."""

from __future__ import annotations

import pytest

from ops.bench.figures import lateness, most_in_window, percentile, use
from ops.bench.pacing import Load
from ops.bench.table import markdown, middle, rows
from ops.bench.trial import Case, Sample

CASE = Case(latency_ms=0, processes=1, jobs=4000, warmup=200)


def sample(jobs_per_second: float, cpu_ms_per_job: float = 1.0) -> Sample:
    return Sample(jobs_per_second, cpu_ms_per_job, 50.0, 0.1, 8.0)


def test_median_is_taken_of_each_figure_by_itself() -> None:
    """One slow round and another with a high CPU time spoil neither figure."""
    rounds = [sample(100, 2.0), sample(10, 2.2), sample(110, 9.0)]
    assert middle(rounds) == sample(100, 2.2)


def test_ratios_are_to_celery_and_to_the_fastest_peers_bare_job() -> None:
    """The full job of a peer is no yardstick, however fast."""
    taken = {
        "celery bare": [sample(200)],
        "arq bare": [sample(500)],
        "arq full": [sample(900)],
        "callworker": [sample(750)],
    }
    table = {row.name: row for row in rows(CASE, taken, ["celery bare", "arq bare"], "celery bare")}
    ratios = (table["callworker"].to_celery_bare, table["callworker"].to_fastest_peer_bare)
    assert ratios == (3.75, 1.5)


def test_ratio_stays_empty_where_there_is_no_yardstick() -> None:
    """A table of callworker alone can be printed, and claims nothing."""
    table = rows(CASE, {"callworker": [sample(750)]}, [], "celery bare")
    assert table[0].to_celery_bare is None
    assert "x |" not in markdown(table)


def test_table_lines_have_one_width() -> None:
    """The table reads in a terminal as it does on a page."""
    taken = {"celery bare": [sample(200)], "callworker": [sample(12_345)]}
    lines = markdown(rows(CASE, taken, ["celery bare"], "celery bare")).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "12,345" in lines[-1]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentile_is_a_value_that_was_seen(share: float, value: int) -> None:
    """Nothing is interpolated between two measurements."""
    assert percentile(list(range(100, 0, -1)), share) == value


def test_lateness_finds_the_one_request_that_missed_its_slot() -> None:
    """A late request is late by itself; those after it that keep the schedule are not."""
    late = lateness([0.0, 1.0, 2.25, 3.0, 4.0], 1.0)
    assert late == pytest.approx([0, 0, 0.25, 0, 0])


def test_use_counts_each_account_from_its_own_first_request() -> None:
    """Accounts that began at other times, or sent only once, do not lower the share."""
    assert use([[0.0, 1.0, 2.0], [7.0, 8.0], [3.0], []], 1.0) == pytest.approx(1.0)
    assert use([[0.0, 2.0, 4.0]], 1.0) == pytest.approx(0.5)


def test_fullest_window_includes_both_its_ends() -> None:
    """Two requests exactly one period apart count as in one window."""
    assert most_in_window([0.0, 0.5, 1.0, 1.6], 1.0) == 3


@pytest.mark.parametrize(
    ("accounts", "rate"), [(1, "200/s"), (100, "2/s"), (10_000, "72/h"), (50_000, "14/h")]
)
def test_load_shares_one_rate_among_its_accounts(accounts: int, rate: str) -> None:
    """The limit is a whole number of requests in the shortest period that allows it."""
    assert Load(accounts, 200).rate == rate
