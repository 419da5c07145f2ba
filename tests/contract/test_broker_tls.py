"""TLS: every client verifies the server's certificate, its chain and its name, unless the address says otherwise."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from tests.tls import Authority, Pair, TlsDoor
from worker.broker.connection import Link, connection_to
from worker.broker.queues import RESULTS
from worker.cli.doctor import servers
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable
from worker.inbound.depth import QueueDepths
from worker.producer import Producer
from worker.redisio.connection import connect
from worker.redisio.translation import store_errors
from worker.settings import Settings

Client = Callable[[str], object]
JOB = {"id": "one", "account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}


def _store(url: str) -> None:
    with connect(url) as client, store_errors():
        client.ping()


def _link(url: str) -> None:
    Link(url, [RESULTS]).close()


def _publisher(url: str) -> None:
    with closing(ResultsQueue(url)) as queue:
        queue.publish([OutgoingEvent("call.placed", "{}")] * 3)


def _producer(url: str) -> None:
    with Producer(url) as producer:
        producer.enqueue(JOB)


def _depths(url: str) -> None:
    with closing(QueueDepths(url)) as depths:
        depths.read()


def _reader(url: str) -> None:
    list(read_results(url))


def _celery(url: str) -> None:
    """The connection of Celery's consumer, and a clone of it, which its pools make."""
    app = Celery("tls", broker=url, set_as_current=False)
    app.amqp_cls = "worker.celery_edge.consuming:CallAMQP"
    with app.connection_for_read() as connection, connection.clone() as clone:
        for each in (connection, clone):
            each.ensure_connection(max_retries=1, interval_start=0).default_channel.close()


BROKER_CLIENTS = [_link, _publisher, _producer, _depths, _reader, _celery]
CASES = [
    *(("redis_url", client) for client in [_store, *BROKER_CLIENTS]),
    *(("amqp_url", client) for client in BROKER_CLIENTS),
]
on_every_client = pytest.mark.parametrize(
    ("server", "client"),
    CASES,
    ids=[f"{kind[:5]}{client.__name__}" for kind, client in CASES],
    indirect=["server"],
)
on_both_servers = pytest.mark.parametrize("server", ["redis_url", "amqp_url"], indirect=True)
REFUSED = (BrokerUnavailable, StoreUnavailable, OperationalError, OSError)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="module")
def pairs(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Certificates of servers: as it should be; of an authority that nobody trusts; for another name."""
    return {
        "right": authority.issue("right"),
        "foreign": Authority(tmp_path_factory.mktemp("tls"), "theirs").issue("foreign"),
        "other": authority.issue("other", "DNS:other.example"),
    }


@pytest.fixture(autouse=True)
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's store holds our authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pair.certificate))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def door(server: str, pairs: dict[str, Pair]) -> Iterator[Callable[..., TlsDoor]]:
    """Opens doors with one of the certificates in front of the server."""
    doors: list[TlsDoor] = []

    def open_door(kind: str, clients: Authority | None = None) -> TlsDoor:
        doors.append(TlsDoor(urlsplit(server).port or 0, pairs[kind], clients).__enter__())
        return doors[-1]

    yield open_door
    for each in doors:
        each.__exit__(None, None, None)


def through(server: str, door: TlsDoor, options: str = "", host: str = "localhost") -> str:
    """The server's address with TLS, through the door."""
    scheme, _, rest = server.partition("://")
    return (
        f"{scheme}s://" + rest.replace(f"127.0.0.1:{urlsplit(server).port}", f"{host}:{door.port}") + options
    )


@on_every_client
def test_right_certificate_is_accepted(server: str, client: Client, door: Any) -> None:
    """A certificate of a trusted authority for the server's name, or its address, is good for every client (E3)."""
    opened = door("right")
    client(through(server, opened))
    client(through(server, opened, host="127.0.0.1"))
    assert "localhost" in opened.names


@on_every_client
@pytest.mark.parametrize("kind", ["foreign", "other"])
def test_wrong_certificate_is_refused(server: str, client: Client, kind: str, door: Any) -> None:
    """One of an authority that is not trusted, or for another name, gets no word of any client (E3)."""
    with pytest.raises(REFUSED, match=r"(?i)certificate"):
        client(through(server, door(kind)))


@on_every_client
def test_address_may_ask_for_less(server: str, client: Client, door: Any) -> None:
    """The name alone can be left unverified, or all; with the name unverified a foreign authority is refused still."""
    client(through(server, door("other"), "?ssl_check_hostname=false"))
    foreign = door("foreign")
    with pytest.raises(REFUSED):
        client(through(server, foreign, "?ssl_check_hostname=false"))
    client(through(server, foreign, "?ssl_cert_reqs=none"))
    assert foreign.names[-1] == "localhost"


@on_both_servers
def test_names_of_rabbitmq_and_of_kombu_are_understood(
    server: str, door: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS options of other programs' addresses apply: kombu's CERT_REQUIRED, RabbitMQ's verify_none and its files."""
    monkeypatch.delenv("SSL_CERT_FILE")
    opened, own = door("right"), f"ssl_ca_certs={authority.pair.certificate}"
    _link(through(server, opened, f"?ssl_cert_reqs=CERT_REQUIRED&{own}"))
    with pytest.raises(BrokerUnavailable):
        _link(through(server, opened, "?ssl_cert_reqs=CERT_REQUIRED"))
    if server.startswith("amqp"):
        _link(through(server, opened, f"?cacertfile={authority.pair.certificate}&verify=verify_peer"))
        _link(through(server, door("foreign"), "?verify=verify_none"))
        _link(through(server, door("other"), f"?{own}&server_name_indication=other.example"))


@on_both_servers
def test_client_certificate_is_shown(server: str, door: Any, authority: Authority) -> None:
    """A server that asks for a client's certificate gets that of the address, and refuses who has none."""
    opened, own = door("right", authority), authority.issue("client", "DNS:client")
    options = f"?ssl_certfile={own.certificate}&ssl_keyfile={own.key}"
    _publisher(through(server, opened, options))
    with pytest.raises(BrokerUnavailable):
        _publisher(through(server, opened))


@on_both_servers
def test_each_address_of_a_list_is_verified(server: str, door: Any) -> None:
    """If the first of several addresses refuses, the next is tried, with its own name and options."""
    good, foreign = through(server, door("right"), host="127.0.0.1"), through(server, door("foreign"))
    _publisher(f"{foreign};{good}")
    with pytest.raises(BrokerUnavailable):
        _publisher(f"{foreign};{foreign}?ssl_check_hostname=false")


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
@pytest.mark.parametrize(
    "options",
    [
        "ssl_ca_certs=/no/such/file",
        "ssl_certfile=/no/such/file",
        "ssl_cert_reqs=perhaps",
        "ssl_min_version=7",
        "ssl_ciphers=x",
    ],
)
def test_options_that_cannot_work_are_an_error_at_once(scheme: str, options: str) -> None:
    """A missing file or an unknown word is an error before any connection, with the option's name."""
    with pytest.raises(ConfigurationError, match=options.partition("=")[0]):
        ResultsQueue(f"{scheme}://user:hunter2@localhost?{options}")


def test_keys_password_is_not_asked_for_at_the_terminal(tmp_path: Path) -> None:
    """A key with a password, and none in the address, is an error; OpenSSL would wait for someone to type it."""
    own = Authority(tmp_path, "ours")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", own.pair.key, "-aes256", "-passout", "pass:hunter2", "-out", locked],
        check=True,
        capture_output=True,
    )
    files = f"ssl_certfile={own.pair.certificate}&ssl_keyfile={locked}"
    with pytest.raises(ConfigurationError, match="ssl_keyfile"):
        ResultsQueue(f"amqps://localhost?{files}")
    ResultsQueue(f"amqps://localhost?{files}&ssl_password=hunter2")


@on_both_servers
@pytest.mark.parametrize(
    ("kind", "options", "grades"),
    [
        ("right", "", {"ok"}),
        ("foreign", "", {"fail"}),
        ("other", "", {"fail"}),
        ("other", "?ssl_check_hostname=false", {"ok", "warn"}),
        ("foreign", "?ssl_cert_reqs=none", {"ok", "warn"}),
    ],
)
def test_doctor_tells_of_certificates(
    server: str, door: Any, kind: str, options: str, grades: set[str]
) -> None:
    """A certificate that is refused is a failed check; one that the address does not let verify is a warning (E3)."""
    url = through(server, door(kind), options)
    name = "Redis" if url.startswith("redis") else "broker"
    settings = Settings.from_env({"REDIS_URL": url} if name == "Redis" else {"BROKER_URL": url})
    check = servers.store if name == "Redis" else servers.broker
    found = [finding for finding in check(settings) if finding.name in (name, f"{name} TLS")]
    assert {finding.grade for finding in found} == grades
    assert all("certificate" in finding.text for finding in found if finding.grade != "ok")


@on_both_servers
def test_file_that_is_gone_for_a_while_is_no_fault(
    server: str, door: Any, authority: Authority, tmp_path: Path
) -> None:
    """A certificate that is being exchanged while a connection is made again: the broker is away until it is there."""
    file, content = tmp_path / "ca.pem", authority.pair.certificate.read_text()
    file.write_text(content)
    with closing(ResultsQueue(through(server, door("right"), f"?ssl_ca_certs={file}"))) as queue:
        file.unlink()
        with pytest.raises(BrokerUnavailable, match="ssl_ca_certs"):
            queue.publish([OutgoingEvent("call.placed", "{}")])
        file.write_text(content)
        queue.publish([OutgoingEvent("call.placed", "{}")])


def test_address_in_the_log_has_the_scheme_of_the_connection(tmp_path: Path) -> None:
    """A connection with TLS is not called one without, nor a socket a host with a port (E3)."""
    socket = tmp_path / "redis.sock"
    for url, told in [
        ("rediss://:hunter2@localhost:6380/1", "rediss://localhost:6380"),
        ("redis://:hunter2@localhost/1", "redis://localhost:6379"),
        (f"unix://{socket}?password=hunter2", f"unix://{socket}"),
        ("amqps://guest:hunter2@localhost:5671//", "amqps://localhost:5671"),
        ("amqp://guest:hunter2@localhost//", "amqp://localhost:5672"),
    ]:
        assert connection_to(url).as_uri() == told
