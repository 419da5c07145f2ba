"""`callworker doctor`: settings with their sources, checks that need no server."""

from __future__ import annotations

import json
import resource
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import free_port
from tests.unit.cli.conftest import Run
from worker.cli.doctor import endpoints, exposure, files, network, variables
from worker.cli.doctor.finding import Grade
from worker.cli.doctor.listing import listed
from worker.cli.doctor.servers import broker_version
from worker.network.causes import Cause
from worker.privacy.addresses import mask_url
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
    proxy = "http://user:pw@proxy:3128"
    environ = {"LOG_LEVEL": "DEBUG", "REDIS_URL": "redis://:pw@r/0", "WEBHOOK_PROXY": proxy}
    rows = {row.name: row for row in listed(Settings.from_env(environ), environ=environ)}
    assert set(rows) == {field.alias for field in Settings.model_fields.values()}
    assert (rows["LOG_LEVEL"].value, rows["LOG_LEVEL"].source) == ("DEBUG", "environment")
    assert (rows["LOG_FORMAT"].value, rows["LOG_FORMAT"].source) == ("json", "default")
    assert rows["WEBHOOK_PROXY"].value == "http://user:[redacted]@proxy:3128"
    assert rows["WEBHOOK_CONTACT"].value == "none"
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
def test_passwords_in_addresses_are_mask_url(url: str, shown: str) -> None:
    """Everything but the secret parts of an address is shown."""
    assert mask_url(url) == shown


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?"), min_size=9)
)
def test_no_password_gets_through(password: str) -> None:
    """Whatever signs a password has, a masked address does not hold it."""
    assert password not in mask_url(f"amqp://user:{password}@host//")


def test_wrong_setting_is_a_failed_check(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor names the settings that are not valid and ends with 1."""
    monkeypatch.setenv("METRICS_PORT", "ninety")
    result = run("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["ok"] is False
    assert "METRICS_PORT" in told["checks"][0]["found"]
    assert {"name": "METRICS_PORT", "value": "ninety", "source": "environment"} in told["settings"]


def test_everything_that_is_wrong_is_told_at_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wrong settings, a misspelt one, two missing secrets, a wrong error table: six findings with a cure (D8)."""
    monkeypatch.delenv("ACME_KEY", raising=False)
    monkeypatch.setenv("METRICS_PORT", "ninety")
    monkeypatch.setenv("REDIS_URL", "https://:tulip@host")
    monkeypatch.setenv("LOG_LEVL", "DEBUG")
    monkeypatch.setenv("ACCOUNTS_FILE", str(_accounts_file(tmp_path)))
    (tmp_path / "errors.toml").write_text('[codes]\nA = "later"\n')
    monkeypatch.setenv("PROVIDER_ERRORS_FILE", str(tmp_path / "errors.toml"))
    result = run("doctor", "--offline", "--json")
    told = json.loads(result.stdout)
    wrong = [check for check in told["checks"] if check["grade"] != "ok"]
    named = ("METRICS_PORT", "REDIS_URL", "LOG_LEVL", "ACME_KEY", "ACME_SECRET", "errors.toml")
    assert all(any(name in check["found"] for check in wrong) for name in named)
    assert all(check["remedy"] for check in wrong)
    assert "tulip" not in result.output
    assert not {"Redis", "broker", "metrics port"} & {check["check"] for check in told["checks"]}


def test_value_that_is_not_valid_is_shown_only_where_it_can_be_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A password under a wrong name, or in an address, is not printed (C7)."""
    environ = {
        "LOG_LEVEL": "tulip-tulip-tulip",
        "PROXSTOP_URL": "https://:tulip@host",
        "METRICS_PORT": "ninety",
    }
    settings, wrong = Settings.valid_part(environ)
    rows = {row.name: row.value for row in listed(settings, wrong, environ)}
    assert rows["METRICS_PORT"] == "ninety"
    assert "tulip" not in rows["LOG_LEVEL"] + rows["PROXSTOP_URL"]


def test_limit_of_open_files_is_judged_as_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More calls in flight than this machine lets a process open files for is a failed check (D8)."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 400))
    found = {finding.name: finding for finding in files.check(_settings(tmp_path, CONCURRENCY="101"))}
    assert found["open files"].grade is Grade.FAIL and "CONCURRENCY" in found["open files"].text
    assert "open files" not in {
        finding.name for finding in files.check(_settings(tmp_path, CONCURRENCY="100"))
    }


def test_misspelt_variable_is_a_warning(tmp_path: Path) -> None:
    """It may belong to another program, so that nothing fails; the line also has the name that was meant (D8)."""
    found = list(variables.check(_settings(tmp_path), {}, {"ACCOUNT_FILE": "x", "ACME_KEY": "y"}))
    assert [(finding.grade, finding.remedy) for finding in found][1:] == [
        (Grade.WARN, "did you mean ACCOUNTS_FILE?")
    ]


def test_celerys_own_broker_variable_fails(tmp_path: Path) -> None:
    """Celery's consumer would take from another broker than the rest of the worker (D9)."""
    found = list(variables.check(_settings(tmp_path), {}, {"CELERY_BROKER_URL": "redis://other/0"}))
    assert [finding.grade for finding in found] == [Grade.OK, Grade.FAIL]


def test_missing_secrets_are_each_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key and a missing webhook secret are two findings that name their variables."""
    monkeypatch.delenv("ACME_KEY", raising=False)
    found = [finding for finding in files.check(_settings(tmp_path)) if finding.grade is Grade.FAIL]
    assert ["ACME_KEY" in found[0].text, "ACME_SECRET" in found[1].text] == [True, True]
    assert all(finding.remedy for finding in found)


def test_present_secrets_are_well_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check passes if key and secret are set, and its text has neither."""
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
    found = list(network.provider(_settings(tmp_path, PROXSTOP_URL=f"http://127.0.0.1:{free_port()}")))
    assert [finding.grade for finding in found] == [Grade.FAIL]
    assert "PROXSTOP_URL" in found[0].remedy


def test_receivers_of_webhooks_are_connected_to_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two webhooks at one place are one connection, over which nothing is sent (D8)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        taken = listener.getsockname()[1]
        hooks = [f"http://127.0.0.1:{taken}/a?token=tulip", f"http://127.0.0.1:{taken}/b"]
        found = list(endpoints.check(_settings_with(tmp_path, hooks)))
        connection, _ = listener.accept()
        assert connection.recv(100) == b""
        connection.close()
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert found[0].grade is Grade.OK and "tulip" not in found[0].text


def test_receiver_that_cannot_be_reached_is_named_with_its_cause(tmp_path: Path) -> None:
    """No listener, no such name, and no TLS are three causes; deliveries would wait for each (D8)."""
    closed = free_port()
    with _closing_server() as plain:
        hooks = [f"http://127.0.0.1:{closed}/", "http://no-such-host.invalid/", f"https://127.0.0.1:{plain}/"]
        found = list(endpoints.check(_settings_with(tmp_path, hooks)))
    assert {finding.grade for finding in found} == {Grade.FAIL}
    assert [finding.text.partition("reached: ")[2] for finding in found] == [
        Cause.REFUSED,
        Cause.NAME,
        Cause.TLS,
    ]
    assert all(finding.remedy for finding in found)


def test_receiver_that_the_guard_refuses_is_a_failed_check(tmp_path: Path) -> None:
    """Scheme and port show in the file alone, the rest when the name is looked up. Nothing is connected to."""
    settings = _settings(tmp_path)
    urls = ["http://localhost/", "https://localhost:8443/", "https://localhost/"]
    tables = [f'[[accounts.acme.webhooks]]\nurl = "{url}"\nsecret_env = "S"\n' for url in urls]
    settings.accounts_file.write_text('[accounts.acme]\napi_key_env = "K"\nrate = "1/s"\n' + "".join(tables))
    found = [finding for finding in files.check(settings) if finding.name.startswith("webhook ")]
    found += endpoints.check(settings)
    assert [finding.grade for finding in found] == [Grade.FAIL] * 3
    words = ("its scheme is not allowed", "its port is not allowed", "not allowed: loopback")
    assert all(word in finding.text for word, finding in zip(words, found, strict=True))
    fields = ("allow_insecure", "allow_ports", "allow_networks")
    assert all(field in finding.remedy for field, finding in zip(fields, found, strict=True))


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o666, True), (0o644, True), (0o620, True), (0o640, False), (0o400, False)]
)
def test_key_file_that_others_may_read_or_change_is_warned_of(
    tmp_path: Path, mode: int, warned: bool
) -> None:
    """A warning names a key file that others can read (to place calls) or change (to use another account) (E15)."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(mode)
    file = tmp_path / "accounts.toml"
    file.write_text(f'[accounts.acme]\napi_key_file = "{key_file}"\nrate = "1/s"\n')
    file.chmod(0o644)
    found = list(exposure.check(Settings.from_env({"ACCOUNTS_FILE": str(file), "REDIS_URL": "redis://r"})))
    assert [finding.grade for finding in found] == [Grade.WARN] * warned
    assert all("chmod" in finding.remedy and KEY not in finding.text for finding in found)


def test_accounts_file_that_others_may_change_is_warned_of(tmp_path: Path) -> None:
    """It says where events go to and whose key is used; to read it harms nobody (E15)."""
    settings = _settings(tmp_path, REDIS_URL="redis://r")
    settings.accounts_file.chmod(0o666)
    assert ["0666" in finding.text for finding in exposure.check(settings)] == [True]


def test_folder_in_which_others_may_replace_a_file_is_warned_of(tmp_path: Path) -> None:
    """The file's own mode is of no use then, unless the folder is one like /tmp, where each has his own (E15)."""
    settings = _settings(tmp_path, REDIS_URL="redis://r")
    tmp_path.chmod(0o777)
    assert ["can replace" in finding.text for finding in exposure.check(settings)] == [True]
    tmp_path.chmod(0o1777)
    assert list(exposure.check(settings)) == []


def test_plain_http_beyond_this_machine_is_warned_of(tmp_path: Path) -> None:
    """PIN, number and key would leave in the clear; on this machine that harms nobody (E15)."""
    hooks = ["http://hooks.example.com/tulip", "http://127.0.0.1/", "https://hooks.example.com/"]
    settings = _settings_with(tmp_path, hooks, PROXSTOP_URL="http://proxy.example.com", REDIS_URL="redis://r")
    found = list(exposure.check(settings))
    assert [(finding.name, finding.grade) for finding in found] == [
        ("provider", Grade.WARN),
        ("webhooks of acme", Grade.WARN),
    ]
    assert "tulip" not in found[1].text


def test_open_state_folder_is_warned_of(tmp_path: Path) -> None:
    """Numbers and PINs of waiting jobs are in the embedded server's file (E15)."""
    state = tmp_path / "state"
    settings = _settings(tmp_path, CALLWORKER_STATE_DIR=str(state))
    assert list(exposure.check(settings)) == []
    state.mkdir(mode=0o755)
    assert [(finding.name, finding.grade) for finding in exposure.check(settings)] == [
        ("state folder", Grade.WARN)
    ]


def test_state_folder_that_a_worker_would_refuse_is_a_failed_check(tmp_path: Path) -> None:
    """Doctor and start agree, and doctor changes nothing (E15)."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "dump.rdb").touch()
    state.chmod(0o777)
    found = list(exposure.check(_settings(tmp_path, CALLWORKER_STATE_DIR=str(state))))
    assert [(finding.name, finding.grade) for finding in found] == [("state folder", Grade.FAIL)]
    assert state.stat().st_mode & 0o777 == 0o777


def test_metrics_port_free_or_taken() -> None:
    """A free port is well; one that another program holds fails, with the variable to set."""
    with _taken_port() as port:
        taken = next(network.metrics_port(Settings.from_env({"METRICS_PORT": str(port)})))
    free = next(network.metrics_port(Settings.from_env({"METRICS_PORT": str(port)})))
    assert (taken.grade, free.grade) == (Grade.FAIL, Grade.OK)
    assert "METRICS_PORT" in taken.remedy


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
    assert "callworker run" in checks["broker"]["remedy"]
    assert "provider" not in checks


def _accounts_file(tmp_path: Path) -> Path:
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    file.chmod(0o644)
    return file


def _settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"ACCOUNTS_FILE": str(_accounts_file(tmp_path)), **environ})


def _settings_with(tmp_path: Path, hooks: list[str], **environ: str) -> Settings:
    """Return settings with one account that has these webhooks."""
    tables = [
        f'[[accounts.acme.webhooks]]\nurl = "{hook}"\nsecret_env = "S"\nallow_insecure = true\n'
        f'allow_ports = [{urlsplit(hook).port or 443}]\nallow_networks = ["127.0.0.0/8"]\n'
        for hook in hooks
    ]
    settings = _settings(tmp_path, **environ)
    settings.accounts_file.write_text('[accounts.acme]\napi_key_env = "K"\nrate = "1/s"\n' + "".join(tables))
    return settings


@contextmanager
def _closing_server() -> Iterator[int]:
    """The port of a server that reads a little and hangs up, as one does that was sent what it does not understand."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@contextmanager
def _taken_port() -> Iterator[int]:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        yield port
