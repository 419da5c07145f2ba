"""`callworker size`: what it is given, and what it prints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from worker.cli import program

USUAL = ("--rate", "50/s", "--accounts", "2000", "--retention", "7d")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "REDIS_URL", "LEDGER_RETENTION", "WEBHOOK_REPLAY", "RESULTS_BACKLOG"):
        monkeypatch.delenv(name, raising=False)


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(program, ["size", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran(*arguments, "--json"))
    return found


@pytest.mark.parametrize(
    ("rate", "per_second"), [("50/s", 50), ("0.5/s", 0.5), ("3000/m", 50), ("180000/h", 50), ("864000/d", 10)]
)
def test_rates_are_per_second_minute_hour_or_day(rate: str, per_second: float) -> None:
    """The same load in any unit is the same load; its peak is twice as much if none is given."""
    asked = document("--rate", rate)["demand"]
    assert (asked["per_second"], asked["peak_per_second"]) == (per_second, 2 * per_second)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rate", "0/s"),
        ("--rate", "50"),
        ("--rate", "-1/s"),
        ("--rate", "1/w"),
        ("--rate", "5/s", "--peak", "4/s"),
        ("--rate", "5/s", "--retention", "soon"),
        ("--rate", "5/s", "--maxmemory", "4"),
        ("--rate", "5/s", "--attempts", "0.5"),
        ("--rate", "5/s", "--provider-seconds", "0"),
        ("--rate", "5/s", "--provider-seconds", "inf"),
        ("--rate", "5/s", "--webhooks", "nan"),
        (),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(wrong: tuple[str, ...]) -> None:
    """The exit status is 2."""
    assert CliRunner().invoke(program, ["size", *wrong]).exit_code == 2


def test_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker, how long jobs are known and what may wait follow from the environment; options win."""
    monkeypatch.setenv("BROKER_URL", "amqp://guest:guest@127.0.0.1//")
    monkeypatch.setenv("LEDGER_RETENTION", "86400")
    found = document("--rate", "50/s")
    assert found["demand"]["rabbitmq"] and "rabbitmq_messages_per_second" in found["figures"]
    assert found["demand"]["retention_seconds"] == 86_400
    other = document("--rate", "50/s", "--broker", "redis", "--retention", "7d")["demand"]
    assert (other["rabbitmq"], other["retention_seconds"]) == (False, 604_800)


def test_people_get_a_table_that_tells_what_each_figure_follows_from() -> None:
    """`maxmemory` is written as Redis reads it, and the limits follow the figures."""
    text = ran(*USUAL)
    assert "8.5 GB" in text and "mb " in text and "745 bytes" in text
    assert text.index("the limit that is met first") < text.index("memory of Redis, 80 % of maxmemory")
    assert "memory of a million jobs that no worker takes" in text
    assert "disk of a million jobs that no worker takes" in ran(*USUAL, "--broker", "amqp")


def test_a_run_of_some_minutes_can_be_compared() -> None:
    """With --after, files and memory are those of that time, not of a day."""
    found = document(*USUAL, "--after", "10m", "--backlog", "0")
    assert found["period_seconds"] == 600
    assert found["figures"]["redis_ended_bytes"] == 50 * 600 * 1170
    assert found["figures"]["log_bytes"] == 50 * 600 * 275
    assert " in 10 min" in ran(*USUAL, "--after", "10m")


def test_what_there_is_can_be_named() -> None:
    """Workers, their places and Redis' memory are taken as given, and the limits follow."""
    found = document("--rate", "50/s", "--workers", "2", "--concurrency", "20", "--maxmemory", "512mb")
    names = ("worker_processes", "worker_concurrency", "redis_maxmemory_bytes")
    assert [found["figures"][name] for name in names] == [2, 20, 512 * 1024**2]
    places = next(one for one in found["limits"] if one["name"] == "places")
    assert places["jobs_per_second"] == 40 and found["limits"][0]["jobs_per_second"] <= 40
