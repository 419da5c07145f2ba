"""What `doctor` says of real servers that do not let us in."""

from __future__ import annotations

from urllib.parse import urlsplit

from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.settings import Settings

PASSWORD = "tulip-password"


def with_wrong_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"nobody:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()


def check_password_is_the_cause(found: list[Finding], variable: str) -> None:
    failed = [finding for finding in found if finding.grade is Grade.FAIL]
    assert len(failed) == 1
    assert variable in failed[0].mend and "password" in failed[0].mend and "start" not in failed[0].mend
    assert PASSWORD not in failed[0].text


def test_wrong_password_of_redis_is_told_as_such(redis_url: str) -> None:
    """A server that refuses a password runs: nobody is told to start it (D8)."""
    settings = Settings.from_env({"REDIS_URL": with_wrong_password(redis_url)})
    check_password_is_the_cause(list(servers.store(settings)), "REDIS_URL")
    check_password_is_the_cause(list(servers.broker(settings)), "REDIS_URL")


def test_wrong_password_of_rabbitmq_is_told_as_such(amqp_url: str) -> None:
    """The same for a broker of its own (D8)."""
    settings = Settings.from_env({"BROKER_URL": with_wrong_password(amqp_url), "REDIS_URL": "redis://r"})
    check_password_is_the_cause(list(servers.broker(settings)), "BROKER_URL")


def test_missing_virtual_host_is_told_as_such(amqp_url: str) -> None:
    """It is to be made, or another named (B4, D8)."""
    settings = Settings.from_env({"BROKER_URL": amqp_url.rstrip("/") + "/no-such", "REDIS_URL": "redis://r"})
    found = list(servers.broker(settings))
    assert found[-1].grade is Grade.FAIL and "virtual host" in found[-1].mend


def test_missing_database_is_told_as_such(redis_url: str) -> None:
    """A number that the server does not have is no server that is away (D8)."""
    settings = Settings.from_env({"REDIS_URL": redis_url.removesuffix("/0") + "/99999"})
    found = list(servers.store(settings))
    assert found[-1].grade is Grade.FAIL and "database" in found[-1].mend
