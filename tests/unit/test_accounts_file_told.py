"""What log and metrics tell of the accounts file."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.doubles.samples import account, accounts
from worker.core.current import Changes
from worker.core.records import Standing
from worker.telemetry.accounts_file import MAX_TOLD, AccountsFileTold
from worker.telemetry.metrics import Metrics

BEFORE = accounts(account("acme"), account("globex"), account("initech"))
AFTER = accounts(account("acme", rate="1/s"), account("initech"), account("umbrella"))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def told(metrics: Metrics) -> AccountsFileTold:
    return AccountsFileTold(metrics, BEFORE)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"callworker_{name}", labels)


def test_files_that_differ_are_told_once(metrics: Metrics, told: AccountsFileTold) -> None:
    """A difference is logged once, and so is its end; the gauge says how many files there are (B7)."""
    with capture_logs() as lines:
        for files in (1, 1, 2, 2, 1, 1):
            told.accounts_files(Standing(newest=files == 1, returned=False, files=files))
            assert value(metrics, "accounts_files") == files
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("accounts.files_differ", "warning"),
        ("accounts.files_agree", "info"),
    ]
    assert lines[0]["this_one_is_newest"] is False


def test_new_accounts_are_named(metrics: Metrics, told: AccountsFileTold) -> None:
    """The line names what was added, removed and changed, with both hashes; the metric has the new hash only."""
    with capture_logs() as lines:
        told.accounts_reloaded(BEFORE, AFTER, Changes.between(BEFORE, AFTER))
    assert lines == [
        {
            "event": "accounts.reloaded",
            "log_level": "info",
            "accounts_file": AFTER.digest,
            "accounts_file_before": BEFORE.digest,
            "added": "umbrella",
            "removed": "globex",
            "changed": "acme",
        }
    ]
    assert value(metrics, "accounts_file_info", hash=AFTER.digest) == 1
    assert value(metrics, "accounts_file_info", hash=BEFORE.digest) is None


def test_refused_file_is_told_once_and_shown_until_it_is_over(
    metrics: Metrics, told: AccountsFileTold
) -> None:
    """Each problem is in the line, at most twenty of them; the gauge is 1 until a file is in use again."""
    problems = [f"fault {n}" for n in range(MAX_TOLD + 3)]
    with capture_logs() as lines:
        told.accounts_refused(problems, news=True)
        told.accounts_refused(problems, news=False)
    assert [(line["event"], line["log_level"]) for line in lines] == [("accounts.refused", "error")]
    assert lines[0]["problems"] == [*problems[:MAX_TOLD], "and 3 more"] and lines[0]["count"] == MAX_TOLD + 3
    assert value(metrics, "accounts_file_refused") == 1
    told.accounts_unchanged(BEFORE)
    assert value(metrics, "accounts_file_refused") == 0
