"""Addresses of a Redis, in every form that redis-py documents: the same server to the store and to every broker client,
or an error at once that names the variable and repeats no password."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from tests.redis_server import RedisServer
from tests.tls import Authority, TlsDoor
from worker.broker.connection import Link
from worker.broker.queues import RESULTS, queue_of
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.errors import ConfigurationError
from worker.preflight.greeting import ask_broker, ask_store
from worker.producer import Producer
from worker.redisio.connection import connect
from worker.settings import Settings

PASSWORD = "p@s:s/w#r?d%41 é"
JOB = {"id": "one", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = _has_ipv6()


@dataclass(frozen=True)
class Server:
    """A Redis with a password, on TCP over both protocols, behind TLS, and on a socket with odd signs."""

    port: int
    tls_port: int
    socket_path: Path
    authority: Path

    def url(self, form: str) -> str:
        """`form` with this server's places and password filled in, %-encoded."""
        return form.format(
            port=self.port,
            tls=self.tls_port,
            socket=quote(str(self.socket_path)),
            pw=quote(PASSWORD, safe=""),
            ca=quote(str(self.authority)),
        )

    def client(self, db: int) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD, db=db)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="cw-urls-") as name:
        folder = Path(name) / "a b%41"
        folder.mkdir()
        authority = Authority(folder, "ours")
        socket_path, hosts = folder / "r.sock", ["127.0.0.1", *(["::1"] if IPV6 else [])]
        options = ("--bind", *hosts, "--unixsocket", str(socket_path), "--requirepass", PASSWORD)
        # A door speaks TLS, for not every Redis can.
        with (
            RedisServer(folder, *options) as running,
            TlsDoor(running.port, authority.issue("s")) as door,
        ):
            yield Server(running.port, door.port, socket_path, authority.pair.certificate)


WORKING = {
    "redis://:{pw}@127.0.0.1:{port}/2": 2,
    "redis://default:{pw}@localhost:{port}": 0,
    "redis://:{pw}@[::1]:{port}/1": 1,
    "REDIS://:{pw}@127.0.0.1:{port}/1": 1,
    "redis://127.0.0.1:{port}/2?password={pw}": 2,
    "redis://127.0.0.1:{port}?db=3&username=default&password={pw}": 3,
    "redis://:{pw}@127.0.0.1:{port}/4?db=5": 5,
    "redis://:{pw}@127.0.0.1:{port}/0?socket_timeout=2&socket_connect_timeout=1.5": 0,
    "redis://:{pw}@127.0.0.1:{port}/0?socket_timeout=3600": 0,
    "redis://:{pw}@127.0.0.1:{port}/0?protocol=3&decode_responses=True&encoding=latin-1": 0,
    "redis://:{pw}@127.0.0.1:{port}/0?client_name=calls&health_check_interval=1&max_connections=50": 0,
    "redis://:{pw}@127.0.0.1:{port}/0?retry_on_timeout=yes&retry_on_error=TimeoutError&socket_keepalive=no": 0,
    "unix://{socket}?db=1&password={pw}": 1,
    "unix://:{pw}@{socket}": 0,
    "unix://default:{pw}@{socket}?db=6&client_name=calls&socket_timeout=2": 6,
    "redis+socket://:{pw}@{socket}?virtual_host=7": 7,
    "redis+socket://{socket}?password={pw}": 0,
    "rediss://:{pw}@localhost:{tls}/1?ssl_ca_certs={ca}": 1,
    "rediss://localhost:{tls}/1?password={pw}&ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}": 1,
    "rediss://:{pw}@127.0.0.1:{tls}?db=2&ssl_cert_reqs=required&ssl_check_hostname=True&ssl_ca_certs={ca}": 2,
    "rediss://:{pw}@localhost:{tls}?ssl_ca_certs={ca}&ssl_min_version=771": 0,
    "rediss://:{pw}@localhost:{tls}?ssl_cert_reqs=none": 0,
    "rediss://:{pw}@localhost:{tls}?ssl_cert_reqs=optional&ssl_ca_certs={ca}&protocol=3": 0,
}  # fmt: skip
"""Forms of an address that lead to the server, each with its database."""


@pytest.mark.parametrize("form", [form for form in WORKING if IPV6 or "::1" not in form])
def test_address_is_the_same_server_to_every_client(server: Server, form: str) -> None:
    """Store, producer, results queue and kombu's own channel meet in one database (B9)."""
    url, db = server.url(form), WORKING[form]
    settings = Settings.from_env({"REDIS_URL": url, "BROKER_URL": url})
    assert settings.redis_url == settings.broker_url == url
    with server.client(db) as direct, connect(url) as store:
        direct.flushdb()
        assert store.set("key", "é") is True
        assert direct.get("key") == store.get("key") == "é".encode()
        with (
            closing(ResultsQueue(url)) as results,
            Producer(url) as producer,
            closing(Link(url, [RESULTS])) as link,
        ):
            results.publish([OutgoingEvent("call.placed", "{}")])
            producer.enqueue(JOB)
            assert RESULTS.bind(link.channel).get(no_ack=True).body in ("{}", b"{}")
        assert direct.llen(queue_of("acme").name) == 1


@pytest.mark.parametrize("given", ["", ":wrong@", "nobody:{pw}@"])
def test_password_that_is_missing_or_wrong_ends_the_start(server: Server, given: str) -> None:
    """One line for the store, one for the broker, each with its variable (B4)."""
    url = server.url(f"redis://{given}127.0.0.1:{{port}}/0")
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: the server refused: [^\n]+$"):
        ask_store(url)
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL: [^\n]+$"):
        ask_broker(url, "BROKER_URL")


def test_clients_name_is_told(server: Server) -> None:
    """`client_name` is what `CLIENT LIST` shows, of kombu's connections too."""
    url = server.url("redis://:{pw}@127.0.0.1:{port}/0?client_name=calls")
    with connect(url) as store, closing(Link(url, [])) as link, server.client(0) as direct:
        store.ping()
        link.channel.client.ping()
        clients: Any = direct.client_list()
        assert sum(client["name"] == "calls" for client in clients) >= 2


BROKEN = [
    "redis://:{pw}@127.0.0.1:{port}/two",
    "redis://:{pw}@127.0.0.1:{port}/0?nonsense=hunter2",
    "redis://:{pw}@127.0.0.1:{port}/0?db=two",
    "redis://:{pw}@127.0.0.1:{port}/0?db=-1",
    "redis://:{pw}@127.0.0.1:{port}/0?socket_timeout=soon",
    "redis://:{pw}@127.0.0.1:{port}/0?socket_timeout=0",
    "redis://:{pw}@127.0.0.1:{port}/0?socket_timeout=nan",
    "redis://:{pw}@127.0.0.1:{port}/0?max_connections=1",
    "redis://:{pw}@127.0.0.1:{port}/0?ssl_cert_reqs=none",
    "redis://:{pw}@127.0.0.1:{port}/0?connection_class=hunter2",
    "redis://:{pw}@127.0.0.1:{port}/0?credential_provider=hunter2",
    "redis://:{pw}@127.0.0.1:{port}/0#hunter2",
    "redis://:hunter2/x@127.0.0.1:{port}/0",
    "redis://:hunter2#x@127.0.0.1:{port}/0",
    "redis://:hunter2?x@127.0.0.1:{port}/0",
    "redis://127.0.0.1:{port}/0?path=/hunter2",
    "rediss://:{pw}@localhost:{tls}?ssl_cert_reqs=maybe",
    "rediss://:{pw}@localhost:{tls}?ssl_ca_certs=/hunter2",
    "rediss://:{pw}@localhost:{tls}?ssl_keyfile={ca}",
    "unix://:{pw}@{socket}?ssl_ca_certs={ca}",
    "unix://hunter2",
    "unix://run/redis.sock?password={pw}",
    "rediss+socket://:{pw}@{socket}",
    "redis+sentinel://:{pw}@127.0.0.1:{port}",
    "redis+sentinel://:{pw}@/NAME/0",
    "redis+sentinel://:{pw}@127.0.0.1:{port}/NAME/two",
    "redis+sentinel://:{pw}@127.0.0.1:{port},127.0.0.1:port/NAME/0",
    "redis+sentinel://:{pw}@127.0.0.1:{port}/NAME/0?ssl_ca_certs={ca}",
    "redis+sentinel://:{pw}@127.0.0.1:{port}/NAME/0?nonsense=hunter2",
    "redis+sentinel://:hunter2/x@127.0.0.1:{port}/NAME/0",
    "redis+sentinel://:hunter2#x@127.0.0.1:{port}/NAME/0",
    "rediss+sentinel://:{pw}@localhost:{tls}/NAME?ssl_ca_certs=/hunter2",
    "redis://:{pw}@127.0.0.1:{port}/0?sentinel_password=hunter2",
]
"""Forms that cannot work: whatever they mean, no client could do it."""


@pytest.mark.parametrize("form", BROKEN)
def test_address_that_cannot_work_is_one_line(server: Server, form: str) -> None:
    """Said before any connection, for each variable, and without a part of it that could be a secret (B9)."""
    url = server.url(form)
    for variable in ("REDIS_URL", "BROKER_URL"):
        with pytest.raises(ConfigurationError) as caught:
            _use(variable, url)
        (line,) = caught.value.problems
        assert line.startswith(f"{variable}: ") and "\n" not in line
        assert "hunter2" not in line and PASSWORD not in line and quote(PASSWORD, safe="") not in line


def _use(variable: str, url: str) -> None:
    Settings.from_env({variable: url})
    if variable == "REDIS_URL":
        connect(url)
    else:
        ResultsQueue(url)


def test_waits_are_no_longer_than_the_workers_own(server: Server) -> None:
    """An address may shorten them; it cannot make a thread hang for an hour."""
    for text, seconds in (("?socket_timeout=3600", 5.0), ("?socket_timeout=2", 2.0), ("", 5.0)):
        client = connect(server.url("redis://:{pw}@127.0.0.1:{port}/0") + text)
        assert client.connection_pool.connection_kwargs["socket_timeout"] == seconds


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sentinel://:hunter2@127.0.0.1:26379/0", "sentinel"),
        ("nonsense://:hunter2@host", "nonsense"),
        ("amqp://guest:hunter2@host//?nonsense=1", "not known"),
        ("amqp://guest:hunter2@host//?ssl_cert_reqs=none", "amqps"),
        ("amqp://guest:hunter2@host//?heartbeat=often", "heartbeat"),
        ("amqp://guest:hunter2@host:port//", "cannot be read"),
        ("amqp://guest:hunter2#x@host//", "#|cannot be read"),
        ("memory://?nonsense=1", "option"),
    ],
)
def test_other_brokers_that_cannot_work_are_one_line(url: str, told: str) -> None:
    """A wrong address of a transport that is no Redis is one line too."""
    with pytest.raises(ConfigurationError, match=f"^BROKER_URL: .*({told})") as caught:
        ResultsQueue(url)
    assert "hunter2" not in str(caught.value)
