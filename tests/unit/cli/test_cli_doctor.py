"""`callworker doctor`: settings with their sources, checks that need no server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cli.conftest import Run
from worker.cli.doctor import files, network
from worker.cli.doctor.finding import Grade
from worker.cli.doctor.listing import listed, masked
from worker.cli.doctor.servers import broker_version
from worker.sandbox import Sandbox
from worker.settings import Settings

ACCOUNTS = """
[accounts.acme]
api_key_env = "ACME_KEY"
rate = "60/m"
[[accounts.acme.webhooks]]
url = "https://hooks.example.com/x"
secret_env = "ACME_SECRET"
"""
KEY = "0123456789abcdef" * 2


def test_every_setting_is_listed_with_its_source() -> None:
    """Each variable of the settings appears once, told whether it was set or not."""
    environ = {"LOG_LEVEL": "DEBUG", "REDIS_URL": "redis://:pw@r/0"}
    rows = {row.name: row for row in listed(Settings.from_env(environ), environ)}
    assert set(rows) == {field.alias for field in Settings.model_fields.values()}
    assert (rows["LOG_LEVEL"].value, rows["LOG_LEVEL"].source) == ("DEBUG", "environment")
    assert (rows["LOG_FORMAT"].value, rows["LOG_FORMAT"].source) == ("json", "default")
    assert rows["BROKER_URL"].source == "default (REDIS_URL)"
    assert rows["BROKER_URL"].value == rows["REDIS_URL"].value == "redis://:[redacted]@r/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://worker:hunter2@mq:5672//", "amqp://worker:[redacted]@mq:5672//"),
        ("amqp://a:s1@x//;amqp://a:s2@y//", "amqp://a:[redacted]@x//;amqp://a:[redacted]@y//"),
        ("rediss://r:6380/0?password=s3", "rediss://r:6380/0?password=[redacted]"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=[redacted]"),
        ("config/accounts.toml", "config/accounts.toml"),
    ],
)
def test_passwords_in_addresses_are_masked(url: str, shown: str) -> None:
    """Everything but the secret parts of an address is shown."""
    assert masked(url) == shown


@given(
    password=st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#;[]"), min_size=9
    )
)
def test_no_password_gets_through(password: str) -> None:
    """Whatever signs a password has, a masked address does not hold it."""
    assert password not in masked(f"amqp://user:{password}@host//")


def test_wrong_setting_is_a_failed_check(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With settings that are not valid, doctor says which and ends with 1."""
    monkeypatch.setenv("METRICS_PORT", "ninety")
    result = run("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["ok"] is False
    assert "METRICS_PORT" in told["checks"][0]["found"]
    assert {"name": "METRICS_PORT", "value": "ninety", "source": "environment"} in told["settings"]


def test_missing_secrets_are_each_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key and a missing webhook secret are two findings that name their variables."""
    monkeypatch.delenv("ACME_KEY", raising=False)
    found = [finding for finding in files.check(_settings(tmp_path)) if finding.grade is Grade.FAIL]
    assert ["ACME_KEY" in found[0].text, "ACME_SECRET" in found[1].text] == [True, True]
    assert all(finding.mend for finding in found)


def test_present_secrets_are_well_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With key and secret there, the check is well; neither is in what it says."""
    monkeypatch.setenv("ACME_KEY", KEY)
    monkeypatch.setenv("ACME_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    found = list(files.check(_settings(tmp_path)))
    assert {finding.grade for finding in found} == {Grade.OK}
    assert not any(KEY in finding.text or "MDEyMz" in finding.text for finding in found)


def test_missing_accounts_file_is_a_failed_check(tmp_path: Path) -> None:
    """The file that cannot be read is named."""
    missing = tmp_path / "none.toml"
    found = next(files.check(Settings.from_env({"ACCOUNTS_FILE": str(missing)})))
    assert found.grade is Grade.FAIL
    assert str(missing) in found.text


def test_provider_is_asked_for_each_balance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that knows the key tells its points; one balance request is made and no call."""
    monkeypatch.setenv("ACME_KEY", KEY)
    with Sandbox(keys=[KEY]) as sandbox:
        found = list(network.provider(_settings(tmp_path, PROXSTOP_URL=sandbox.url)))
        assert [request.call for request in sandbox.requests()] == ["balance"]
    assert [finding.grade for finding in found] == [Grade.OK, Grade.OK]
    assert "points left" in found[1].text


def test_refused_key_is_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the provider does not know fails the account's check."""
    monkeypatch.setenv("ACME_KEY", KEY)
    with Sandbox(keys=["f" * 32]) as sandbox:
        found = list(network.provider(_settings(tmp_path, PROXSTOP_URL=sandbox.url)))
    assert found[1].grade is Grade.FAIL
    assert "INVALID_KEY" in found[1].text


def test_unreachable_provider_is_a_failed_check(tmp_path: Path) -> None:
    """Nobody on the port: one finding, with what to look at."""
    with _taken_port() as port:
        pass
    found = list(network.provider(_settings(tmp_path, PROXSTOP_URL=f"http://127.0.0.1:{port}")))
    assert [finding.grade for finding in found] == [Grade.FAIL]
    assert "PROXSTOP_URL" in found[0].mend


def test_metrics_port_free_or_taken() -> None:
    """A free port is well; one that another program holds fails, with the variable to set."""
    with _taken_port() as port:
        taken = next(network.metrics_port(Settings.from_env({"METRICS_PORT": str(port)})))
    free = next(network.metrics_port(Settings.from_env({"METRICS_PORT": str(port)})))
    assert (taken.grade, free.grade) == (Grade.FAIL, Grade.OK)
    assert "METRICS_PORT" in taken.mend


@pytest.mark.parametrize(
    ("version", "drops"),
    [("3.10.8", False), ("3.13.7", False), ("4.0.1", True), ("10.0.0", True), ("", False)],
)
def test_a_broker_that_drops_what_came_back_often_is_told_of(version: str, drops: bool) -> None:
    """RabbitMQ does so from version 4 on; the operator is shown where it says how to keep the messages."""
    found = broker_version({"product": "RabbitMQ", "version": version})
    assert (version in found.text, "ops/README.md" in found.text) == (True, drops)


def test_embedded_server_that_does_not_run_is_a_warning(run: Run) -> None:
    """Before the first worker nothing is wrong with Redis; doctor says how it comes."""
    checks = {
        check["check"]: check for check in json.loads(run("doctor", "--offline", "--json").stdout)["checks"]
    }
    assert checks["Redis"]["grade"] in ("warn", "fail")
    assert "callworker run" in checks["broker"]["mend"]
    assert "provider" not in checks


def _settings(tmp_path: Path, **environ: str) -> Settings:
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    return Settings.from_env({"ACCOUNTS_FILE": str(file), **environ})


@contextmanager
def _taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
