"""What `doctor` says of real servers that do not let us in, and of receivers behind TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from tests.doubles.proxies import connect_proxy
from tests.rabbit import GuardedNode
from tests.tls import Authority, TlsDoor
from worker.cli.doctor import endpoints, nodes, servers
from worker.cli.doctor.finding import Finding, Grade
from worker.network.causes import Cause
from worker.preflight.greeting import ask_broker
from worker.settings import Settings

PASSWORD = "tulip-password"


def with_wrong_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"nobody:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()


def check_password_is_the_cause(found: list[Finding], variable: str) -> None:
    failed = [finding for finding in found if finding.grade is Grade.FAIL]
    assert len(failed) == 1
    assert variable in failed[0].remedy and "password" in failed[0].remedy and "start" not in failed[0].remedy
    assert PASSWORD not in failed[0].text
    assert not any(words in failed[0].text for words in ("does not answer", "cannot be reached"))


def test_wrong_password_of_redis_is_told_as_such(redis_url: str) -> None:
    """A server that refuses a password runs and answers: doctor says so, and does not advise to start it (D8)."""
    settings = Settings.from_env({"REDIS_URL": with_wrong_password(redis_url)})
    check_password_is_the_cause(list(servers.store(settings)), "REDIS_URL")
    check_password_is_the_cause(list(servers.broker(settings)), "REDIS_URL")


def test_rights_that_a_start_needs_are_looked_at(redis_url: str) -> None:
    """A user who may connect and may not run scripts ends a start: `doctor` says so before (B4, D8)."""
    with redis.Redis.from_url(redis_url) as client:
        run: Any = client.execute_command
        run("ACL", "SETUSER", "reader", "reset", "on", f">{PASSWORD}", "~*", "+@all", "-@scripting")
        settings = Settings.from_env({"REDIS_URL": redis_url.replace("//", f"//reader:{PASSWORD}@")})
        found = list(servers.store(settings))
        run("ACL", "DELUSER", "reader")
    assert [finding.grade for finding in found] == [Grade.FAIL]
    assert "evalsha" in found[0].text and "rights" in found[0].remedy


def test_file_that_an_address_names_in_vain_is_no_server_that_is_away() -> None:
    """Doctor names the variable, and does not advise to start a server (B9, D8)."""
    settings = Settings.from_env({"REDIS_URL": "rediss://localhost:1/0?ssl_ca_certs=/no/such/file"})
    for finding in (list(servers.store(settings))[-1], list(servers.broker(settings))[-1]):
        assert finding.grade is Grade.FAIL and finding.text.startswith("REDIS_URL: ssl_ca_certs")
        assert finding.remedy == "correct REDIS_URL, or the file that it names"


def test_running_worker_lacks_no_queue_on_redis(redis_url: str) -> None:
    """A worker declares `results` alone there: `doctor` does not wait for another to come (D8)."""
    ask_broker(redis_url, "REDIS_URL")
    found = list(servers.broker(Settings.from_env({"REDIS_URL": redis_url})))
    assert {finding.grade for finding in found} == {Grade.OK}


def test_wrong_password_of_rabbitmq_is_told_as_such(amqp_url: str) -> None:
    """A broker of its own is judged as the store is (D8)."""
    settings = Settings.from_env({"BROKER_URL": with_wrong_password(amqp_url), "REDIS_URL": "redis://r"})
    check_password_is_the_cause(list(servers.broker(settings)), "BROKER_URL")


def graded(broker_url: str) -> list[tuple[Grade, str]]:
    """Return what `doctor` says of the nodes that an address names."""
    settings = Settings.from_env({"BROKER_URL": broker_url, "REDIS_URL": "redis://r"})
    found = servers.broker(settings)
    return [(finding.grade, finding.text) for finding in found if finding.name == nodes.NAME]


def test_nodes_of_one_cluster_are_known_as_such(amqp_url: str) -> None:
    """Two names of one node pass for two nodes; a third that does not listen is named, without its password."""
    other = amqp_url.replace("127.0.0.1", "localhost")
    assert graded(amqp_url) == [(Grade.OK, nodes.ONE)]
    assert graded(f"{amqp_url};{other}") == [(Grade.OK, "all answer, of one cluster")]
    away, together = graded(f"{amqp_url};amqp://guest:{PASSWORD}@127.0.0.1:1//;{other}")
    assert away[0] is Grade.WARN and "127.0.0.1:1" in away[1] and PASSWORD not in away[1]
    assert together == (Grade.OK, "2 of 3 answer, of one cluster")


def test_nodes_of_two_clusters_are_told_apart(amqp_url: str, node: GuardedNode) -> None:
    """A job that goes to the second is taken by no worker that reads from the first."""
    ((grade, text),) = graded(f"{amqp_url};{node.url()}")
    assert grade is Grade.FAIL and text.startswith("of another cluster than") and str(node.port) in text
    ((grade, text),) = graded(f"{node.url('reader')};{amqp_url}")
    assert (grade, text) == (Grade.OK, "all answer"), "a user without the right to make a queue cannot know"


def test_node_that_refuses_is_told_beside_one_that_answers(amqp_url: str) -> None:
    """It would refuse when it is needed."""
    ((grade, text),) = graded(f"{amqp_url};{with_wrong_password(amqp_url)}")
    assert grade is Grade.FAIL and "ACCESS_REFUSED" in text and PASSWORD not in text


def test_missing_virtual_host_is_told_as_such(amqp_url: str) -> None:
    """The line says to create the virtual host or to name another (B4, D8)."""
    settings = Settings.from_env({"BROKER_URL": amqp_url.rstrip("/") + "/no-such", "REDIS_URL": "redis://r"})
    found = list(servers.broker(settings))
    assert found[-1].grade is Grade.FAIL and "virtual host" in found[-1].remedy


def test_missing_database_is_told_as_such(redis_url: str) -> None:
    """A number that the server does not have is no server that is away (D8)."""
    settings = Settings.from_env({"REDIS_URL": redis_url.removesuffix("/0") + "/99999"})
    found = list(servers.store(settings))
    assert found[-1].grade is Grade.FAIL and "database" in found[-1].remedy


def test_receiver_is_trusted_as_its_deliveries_trust_it(tmp_path: Path, redis_url: str) -> None:
    """A private authority is good where it is named, and a certificate for another host is good nowhere (D8, C10)."""
    private = Authority(tmp_path, "private")
    target = urlsplit(redis_url).port or 0
    with (
        TlsDoor(target, private.issue("good")) as good,
        TlsDoor(target, private.issue("other", "DNS:other")) as other,
    ):
        hooks = [
            (good.port, private.pair.certificate),
            (good.port, None),
            (other.port, private.pair.certificate),
        ]
        found = list(endpoints.check(_with_hooks(tmp_path, hooks)))
    assert [finding.grade for finding in found] == [Grade.OK, Grade.FAIL, Grade.FAIL]
    assert all(finding.text.endswith(Cause.TLS) for finding in found[1:])


def test_receivers_are_reached_through_the_proxy(tmp_path: Path, redis_url: str) -> None:
    """As webhooks reach them; a fault of the proxy is told as one."""
    authority = Authority(tmp_path, "authority")
    with TlsDoor(urlsplit(redis_url).port or 0, authority.issue("good")) as door:
        settings = _with_hooks(tmp_path, [(door.port, authority.pair.certificate)])
        with connect_proxy() as proxy:
            (good,) = endpoints.check(settings.model_copy(update={"webhook_proxy": proxy.url}))
            assert good.grade is Grade.OK and len(proxy.heads) == 1
        with connect_proxy(lambda _: b"HTTP/1.1 407 Who?\r\n\r\n") as proxy:
            (found,) = endpoints.check(settings.model_copy(update={"webhook_proxy": proxy.url}))
            assert found.grade is Grade.FAIL
    assert "through the proxy: status 407" in found.text and "WEBHOOK_PROXY" in found.remedy


def _with_hooks(tmp_path: Path, hooks: list[tuple[int, Path | None]]) -> Settings:
    text = '[accounts.acme]\napi_key_env = "K"\nrate = "1/s"\n'
    for number, (port, ca_file) in enumerate(hooks):
        text += f'[[accounts.acme.webhooks]]\nurl = "https://127.0.0.1:{port}/{number}"\nsecret_env = "S"\n'
        text += f'allow_ports = [{port}]\nallow_networks = ["127.0.0.0/8"]\n'
        text += "" if ca_file is None else f'ca_file = "{ca_file}"\n'
    (tmp_path / "accounts.toml").write_text(text)
    return Settings.from_env({"ACCOUNTS_FILE": str(tmp_path / "accounts.toml")})


def test_key_of_the_store_that_holds_something_else_is_named(redis_url: str) -> None:
    """The operator hears which one to move away; a key that is as it should be is no finding (E12)."""
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("callworker:{3}:outbox", "an event")
        client.set("callworker:{5}:leases", "not ours")
    found = list(servers.store(Settings.from_env({"REDIS_URL": redis_url})))
    (wrong,) = [finding for finding in found if finding.name == "Redis keys"]
    assert wrong.grade is Grade.FAIL and "callworker:{5}:leases is a string" in wrong.text
