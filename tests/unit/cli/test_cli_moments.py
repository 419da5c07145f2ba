"""Times and spans as people write them, and the name of who does something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from worker.cli import audited, moments
from worker.settings import Settings

NEAR = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "span"),
    [("90s", timedelta(seconds=90)), ("10m", timedelta(minutes=10)), ("7d", timedelta(days=7))],
)
def test_span_counts_from_now_in_both_directions(text: str, span: timedelta) -> None:
    """A span is the same length, back from now or from now on."""
    now = datetime.now(UTC)
    assert moments.span(text, "--over") == span
    assert abs(moments.past(text, "--since") - (now - span)) < NEAR
    assert abs(moments.future(text, "--until") - (now + span)) < NEAR


@pytest.mark.parametrize("text", ["", "0h", "-1h", "24", "tomorrow", "2026-12-01", "999999d"])
def test_wrong_time_is_wrong_usage(text: str) -> None:
    """The option is named, and what it may be."""
    with pytest.raises(click.UsageError, match="--since must be a span"):
        moments.past(text, "--since")


def test_time_must_be_on_the_right_side_of_now() -> None:
    """A time to look back to is over, and one to end at is yet to come."""
    with pytest.raises(click.UsageError, match="--since must be a time in the past"):
        moments.past("2126-12-01T09:00:00Z", "--since")
    with pytest.raises(click.UsageError, match="--until must be a time in the future"):
        moments.future("2020-12-01T09:00:00Z", "--until")
    assert moments.past("2020-12-01T10:00:00+01:00", "--since") == datetime(2020, 12, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("setting", "environ", "name"),
    [("Ada", {"SUDO_USER": "bob"}, "Ada"), ("", {"SUDO_USER": "bob"}, "bob")],
)
def test_name_of_the_operator(setting: str, environ: dict[str, str], name: str) -> None:
    """The setting comes before the user who ran sudo."""
    assert audited.who(Settings.from_env({"CALLWORKER_OPERATOR": setting}), environ) == name


def test_name_of_the_operator_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user of the process; by number in a container that has no name for it."""
    assert audited.who(Settings.from_env({}), {})
    monkeypatch.setattr("os.getuid", lambda: 4_123_456)
    assert audited.who(Settings.from_env({}), {}) == "uid 4123456"
