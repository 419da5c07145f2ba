"""Settings come from the environment; a wrong one stops the program with one line that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ConfigurationError
from worker.settings import Settings, config_file

NAMES = [str(field.alias) for field in Settings.model_fields.values()]


def complaint(name: str, value: str) -> str:
    with pytest.raises(ConfigurationError) as problem:
        Settings.from_env({name: value})
    return str(problem.value)


def test_defaults_are_those_of_the_contract() -> None:
    """An empty environment is a working set-up on the embedded server."""
    settings = Settings.from_env({})
    assert settings.embedded and settings.broker_url is None
    assert settings.proxstop_url == "https://api.proxstop.com" and settings.proxstop_format == "xml"
    assert settings.accounts_file == Path("config/accounts.toml")
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 9808)


@pytest.mark.parametrize(
    ("name", "value", "problem", "allowed"),
    [
        ("METRICS_PORT", "abc", "is not a whole number", "from 1 to 65535"),
        ("METRICS_PORT", "0", "is out of range", "from 1 to 65535"),
        ("METRICS_PORT", "70000", "is out of range", "from 1 to 65535"),
        ("METRICS_PORT", "98.08", "is not a whole number", "from 1 to 65535"),
        ("METRICS_PORT", "9" * 5000, "is not a whole number", "from 1 to 65535"),
        ("METRICS_PORT", "٩٨٠٨", "is not a whole number", "from 1 to 65535"),
        ("CONCURRENCY", "0", "is out of range", "from 1 to 10000"),
        ("CONCURRENCY", "-5", "is out of range", "from 1 to 10000"),
        ("CONCURRENCY", "many", "is not a whole number", "from 1 to 10000"),
        ("LEDGER_RETENTION", "60", "is out of range", "from 3600 to 31622400"),
        ("WEBHOOKS_IN_FLIGHT", "0", "is out of range", "from 1 to 65536"),
        ("WEBHOOK_REPLAY", "10", "is out of range", "from 3600 to 31622400"),
        ("WEBHOOK_SCHEDULE", "soon", "is not a list of waits", "1 to 20 waits such as 5s 30m"),
        ("WEBHOOK_SCHEDULE", "5s 5", "is not a list of waits", "1 to 20 waits"),
        ("WEBHOOK_SCHEDULE", "5s 0s", "is out of range", "each from 1s to 48h"),
        ("WEBHOOK_SCHEDULE", "49h", "is out of range", "each from 1s to 48h"),
        ("WEBHOOK_SCHEDULE", "1s " * 21, "is out of range", "1 to 20 waits"),
        ("PROXSTOP_TIMEOUT", "0", "is out of range", "above 0, at most 3600"),
        ("PROXSTOP_TIMEOUT", "nan", "is out of range", "above 0, at most 3600"),
        ("PROXSTOP_TIMEOUT", "inf", "is out of range", "above 0, at most 3600"),
        ("PROXSTOP_TIMEOUT", "soon", "is not a number", "above 0, at most 3600"),
        ("SHUTDOWN_GRACE", "-1", "is out of range", "above 0, at most 3600"),
        ("PROXSTOP_FORMAT", "yaml", "is not a known value", "json, xml"),
        ("PROXSTOP_EXTENDED", "yes", "is not a known value", "on, off"),
        ("LOG_FORMAT", "text", "is not a known value", "json, console"),
        ("LOG_LEVEL", "LOUD", "is not a known value", "DEBUG, INFO, WARNING, ERROR"),
        ("PROXSTOP_URL", "api.proxstop.com", "is not an address", "http:// or https://"),
        ("PROXSTOP_URL", "ftp://api.proxstop.com", "is not an address", "http:// or https://"),
        ("PROXSTOP_URL", "https://", "is not an address", "http:// or https://"),
        ("PROXSTOP_URL", "https://host?key=x", "is not an address", "without user name or query"),
        ("PROXSTOP_URL", "https://u:p@host", "is not an address", "without user name or query"),
        ("PROXSTOP_URL", "https://[::1", "is not an address", "http:// or https://"),
        ("PROXSTOP_URL", "https://host:99999", "is not an address", "http:// or https://"),
        ("REDIS_URL", "localhost:6379", "is not an address", "redis://"),
        ("REDIS_URL", "http://localhost", "is not an address", "unix://"),
        ("REDIS_URL", "redis://localhost:port/0", "is not an address", "rediss://"),
        ("REDIS_SHARDS", "32", "is not a number of shards", "16 or 64"),
        ("REDIS_REPLICAS", "-1", "is out of range", "from 0 to 5"),
        ("REDIS_REPLICAS", "6", "is out of range", "from 0 to 5"),
        ("REDIS_REPLICAS", "all", "is not a whole number", "from 0 to 5"),
        ("METRICS_HOST", "http://127.0.0.1", "is neither a name nor an address", "127.0.0.1 or 0.0.0.0"),
        ("METRICS_HOST", "a b", "is neither a name nor an address", "127.0.0.1 or 0.0.0.0"),
        ("WEBHOOK_PROXY", "proxy:3128", "is not an address of a proxy", "http://"),
        ("WEBHOOK_PROXY", "https://proxy:3128", "is not an address of a proxy", "http://"),
        ("WEBHOOK_PROXY", "http://proxy", "is not an address of a proxy", "a host and a port"),
        ("WEBHOOK_PROXY", "http://proxy:0", "is not an address of a proxy", "a host and a port"),
        ("WEBHOOK_PROXY", "http://proxy:3128/path", "is not an address of a proxy", "a host and a port"),
        ("WEBHOOK_PROXY", "http://a:b:c@proxy:3128", "has no user:password before @", "user:password@"),
        ("WEBHOOK_PROXY", "http://a:b/c@proxy:3128", "has no user:password before @", "user:password@"),
        ("WEBHOOK_PROXY", "http://token@proxy:3128", "has no user:password before @", "user:password@"),
        ("WEBHOOK_CONTACT", "hooks at acme", "is no contact", "a mail address or a URL"),
        ("WEBHOOK_CONTACT", "hooks@acme.example(x)", "is no contact", "without spaces and parentheses"),
        ("WEBHOOK_CONTACT", "a@b\r\nx: y", "is no contact", "a mail address or a URL"),
        ("WEBHOOK_CONTACT", "a@" + "b" * 199, "is no contact", "at most 200"),
        ("WEBHOOK_CONTACT", "hööks@acme.example", "is no contact", "a mail address or a URL"),
        ("BROKER_URL", "localhost", "is not an address of a RabbitMQ or Redis", "amqp://"),
        ("BROKER_URL", "://localhost", "is not an address of a RabbitMQ or Redis", "redis://"),
        ("BROKER_URL", "memory://", "is not an address of a RabbitMQ or Redis", "redis://"),
        ("BROKER_URL", "amqp://one;sqs://two", "is not an address of a RabbitMQ or Redis", "amqp://"),
    ],
)
def test_wrong_value_is_one_line_with_name_problem_and_what_is_allowed(
    name: str, value: str, problem: str, allowed: str
) -> None:
    """One line names the setting, the problem and the allowed values, so that an operator need not look anything up."""
    line = complaint(name, value)
    assert line.startswith(f"{name}: {problem}") and allowed in line.partition("allowed is")[2]
    assert "\n" not in line and len(line) < 200


def test_all_wrong_values_are_told_at_once() -> None:
    """An operator with three slips starts the program once, not three times, to hear of them (D8)."""
    with pytest.raises(ConfigurationError) as problem:
        Settings.from_env(
            {"LOG_LEVEL": "LOUD", "METRICS_PORT": "abc", "PROXSTOP_URL": "nowhere", "CONCURRENCY": "5"}
        )
    assert sorted(line.partition(":")[0] for line in problem.value.problems) == [
        "LOG_LEVEL",
        "METRICS_PORT",
        "PROXSTOP_URL",
    ]


def test_valid_part_has_the_default_where_a_value_is_wrong() -> None:
    """The valid parts are still checked if another value is wrong (D8)."""
    settings, problems = Settings.valid_part({"LOG_LEVEL": "LOUD", "CONCURRENCY": "5"})
    assert (settings.log_level, settings.concurrency, list(problems)) == ("INFO", 5, ["LOG_LEVEL"])


@pytest.mark.parametrize(
    "name",
    [
        "REDIS_URL",
        "PROXSTOP_URL",
        "BROKER_URL",
        "METRICS_PORT",
        "LOG_LEVEL",
        "WEBHOOK_PROXY",
    ],
)
def test_wrong_value_is_not_repeated(name: str) -> None:
    """It may be a password, or an address with one, set under the wrong name."""
    assert "tulip" not in complaint(name, "tulip:secret-tulip@host:x")


@given(st.sampled_from(NAMES), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_value_is_taken_or_refused_in_one_line(name: str, value: str) -> None:
    """No value ends in another exception."""
    try:
        Settings.from_env({name: value})
    except ConfigurationError as error:
        assert str(error).startswith(f"{name}: ") and "\n" not in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_empty_value_counts_as_absent(name: str) -> None:
    """`NAME=` in a compose file means: not set."""
    assert Settings.from_env({name: " "}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_PROXY", "http://proxy.internal:3128"),
        ("WEBHOOK_PROXY", "http://user:pa%2Fss@[fd00::1]:3128/"),
        ("WEBHOOK_PROXY", "http://user:@proxy:3128"),
        ("WEBHOOK_CONTACT", "hooks+calls@acme.example"),
        ("WEBHOOK_CONTACT", "https://acme.example/hooks?a=b"),
    ],
)
def test_proxy_and_contact_of_webhooks_are_taken_as_they_are(name: str, value: str) -> None:
    """A proxy may have a user and a password, a contact may be a mail address or a URL."""
    assert getattr(Settings.from_env({name: value}), name.lower()) == value


def test_words_are_taken_in_any_case() -> None:
    """debug and DEBUG are one level."""
    given_words = {
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "Console",
        "PROXSTOP_FORMAT": "JSON",
        "PROXSTOP_EXTENDED": "ON",
    }
    settings = Settings.from_env(given_words)
    assert (settings.log_level, settings.log_format) == ("DEBUG", "console")
    assert (settings.proxstop_format, settings.proxstop_extended) == ("json", "on")


def test_values_reach_their_fields() -> None:
    """Trimmed, typed, and without the slash that would double in a path."""
    settings = Settings.from_env(
        {
            "METRICS_PORT": " 9900 ",
            "CONCURRENCY": "7",
            "PROXSTOP_URL": "http://127.0.0.1:8807/",
            "PATH": "/bin",
        }
        | {"REDIS_URL": "redis://:pw@127.0.0.1:6379/0", "BROKER_URL": "amqp://guest:guest@h//;amqp://h2//"}
        | {"ACCOUNTS_FILE": "/etc/accounts.toml", "PROXSTOP_TIMEOUT": "2.5"}
    )
    assert (settings.metrics_port, settings.concurrency, settings.proxstop_timeout) == (9900, 7, 2.5)
    assert settings.proxstop_url == "http://127.0.0.1:8807"
    assert settings.accounts_file == Path("/etc/accounts.toml") and not settings.embedded


def test_config_file_is_looked_for_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's own `config/` comes before what was installed, and the installed accounts are never a default.

    They were before, and calls of one operator would have been counted under the example's accounts (D8).
    """
    monkeypatch.chdir(tmp_path)
    assert config_file("provider_errors.toml").parent != Path("config")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "provider_errors.toml").touch()
    assert config_file("provider_errors.toml") == Path("config/provider_errors.toml")
    assert Settings.from_env({}).accounts_file == Path("config/accounts.toml")
    assert config_file("no-such-file.toml") == Path("config/no-such-file.toml")
