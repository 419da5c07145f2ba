"""Variables that nothing reads, near to one that is read."""

from __future__ import annotations

import pytest

from worker.preflight.misspelt import misspelt


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LOG_LEVL", "LOG_LEVEL"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("log_level", "LOG_LEVEL"),
        ("ACCOUNT_FILE", "ACCOUNTS_FILE"),
        ("PROXTOP_URL", "PROXSTOP_URL"),
        ("PROXSTOP_TIMEOUT_SECONDS", "PROXSTOP_TIMEOUT"),
        ("REDIS_URI", "REDIS_URL"),
        ("CALLWORKER_REDIS_URL", "REDIS_URL"),
        ("\ufeffREDIS_URL", "REDIS_URL"),
        ("STATE_DIR", "CALLWORKER_STATE_DIR"),
    ],
)
def test_slip_in_a_name_is_found(name: str, meant: str) -> None:
    """A misspelt setting is reported with the name that was meant (D8)."""
    assert misspelt({name: "x", "REDIS_URL": "y"}) == {name: meant}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "REDIS_HOST",
        "REDIS_PORT",
        "DATABASE_URL",
        "WEB_CONCURRENCY",
        "ACME_PROXSTOP_KEY",
        "LOG_DIR",
        "AMQP_URL",
    ],
)
def test_variables_of_other_programs_are_left_alone(name: str) -> None:
    """The environment is shared: only what is near to one of ours is worth a word."""
    assert misspelt({name: "x"}) == {}


def test_variable_that_the_accounts_file_names_is_no_slip() -> None:
    """An operator may call a key as he likes."""
    assert misspelt({"PROXSTOP_URLS": "x"}, named=["PROXSTOP_URLS"]) == {}
