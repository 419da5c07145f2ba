"""The HTTP server for Prometheus and probes, over real sockets."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric

from worker import health
from worker.errors import ConfigurationError
from worker.health import HealthServer


class Worker:
    """A process to be asked about: its problems, and a registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Counter("callworker_jobs_finished", "Jobs that ended.", registry=self.registry).inc(3)
        self.dead: list[str] = []
        self.missing: list[str] = []
        self.fault: Exception | None = None

    def live(self) -> list[str]:
        return self.dead

    def ready(self) -> list[str]:
        if self.fault:
            raise self.fault
        return self.missing


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(worker: Worker) -> Iterator[HealthServer]:
    """A server on a free port of loopback."""
    server = HealthServer("127.0.0.1", 0, worker.registry, worker.live, worker.ready)
    server.start()
    yield server
    server.stop()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def connected(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    """What Prometheus scrapes, with a query or without."""
    for path in ("/metrics", "/metrics?x=1"):
        status, content_type, body = ask(server, path)
        assert status == 200 and content_type.startswith("text/plain; version=0.0.4")
        assert "callworker_jobs_finished_total 3.0" in body.splitlines()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probe_says_ok(server: HealthServer, path: str) -> None:
    """Nothing is wrong: 200 and a word."""
    assert ask(server, path)[::2] == (200, "ok\n")


def test_probe_names_what_is_not_well(server: HealthServer, worker: Worker) -> None:
    """503 and a line for each problem; being alive and being ready are told apart."""
    worker.missing = ["the broker does not answer", "Redis does not answer"]
    assert ask(server, "/readyz")[::2] == (503, "the broker does not answer\nRedis does not answer\n")
    assert ask(server, "/livez")[0] == 200
    worker.dead = ["releaser stalled"]
    assert ask(server, "/livez")[::2] == (503, "releaser stalled\n")


def test_check_that_fails_is_a_problem(server: HealthServer, worker: Worker) -> None:
    """A check's own fault is no sign of health, and shows nothing of its text."""
    worker.fault = RuntimeError("redis://user:password@host")
    assert ask(server, "/readyz")[::2] == (503, "the check failed: RuntimeError\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/favicon.ico", "/../metrics", "//x"])
def test_other_path_is_not_found(server: HealthServer, path: str) -> None:
    """Three pages, and no more."""
    assert ask(server, path)[0] == 404


def test_head_has_no_body(server: HealthServer) -> None:
    """Some probes only look at the status."""
    assert ask(server, "/livez", "HEAD")[::2] == (200, "")


def test_other_method_is_refused(server: HealthServer) -> None:
    """Nothing can be changed here."""
    assert ask(server, "/metrics", "POST")[0] == 501


def test_scrape_that_fails_is_an_error_and_not_the_end(server: HealthServer, worker: Worker) -> None:
    """A broken collector makes a 500, and the probes go on."""

    class Broken:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> list[Metric]:
            raise RuntimeError("password")

    worker.registry.register(Broken())
    status, _, body = ask(server, "/metrics")
    assert status == 500 and "password" not in body
    assert ask(server, "/livez")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET http://[::1 HTTP/1.0\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "empty", "no path", "TLS", "version", "bad URL", "long path", "many headers"],
)
def test_bad_request_does_not_harm_the_server(server: HealthServer, request_bytes: bytes) -> None:
    """Scanners knock at every port."""
    with connected(server) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        try:
            answer = client.recv(12)
        except ConnectionResetError:
            answer = b""
    assert b"200" not in answer
    assert ask(server, "/livez")[0] == 200


def test_client_that_hangs_up_does_not_harm_the_server(server: HealthServer) -> None:
    """It may be gone before its answer is written."""
    for _ in range(5):
        with connected(server) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert ask(server, "/livez")[0] == 200


def test_slow_clients_do_not_block_others(server: HealthServer) -> None:
    """Each has a thread of its own."""
    slow = [connected(server) for _ in range(20)]
    try:
        for client in slow:
            client.sendall(b"GET /liv")
        assert ask(server, "/livez")[0] == 200
    finally:
        for client in slow:
            client.close()


def test_client_that_dawdles_is_hung_up_on(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends nothing ends by the server's hand, so that none can pile up."""
    monkeypatch.setattr(health, "LONGEST_CONNECTION_SECONDS", 0.0)
    with connected(server) as client:
        assert client.recv(1) == b""


def test_more_connections_than_there_is_room_for_are_closed_at_once(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are bounded; those inside are still served."""
    monkeypatch.setattr(health, "MOST_CONNECTIONS", 1)
    with connected(server) as inside:
        inside.sendall(b"GET /livez HTTP/1.0\r\n")
        with connected(server) as outside:
            assert outside.recv(1) == b""
        inside.sendall(b"\r\n")
        assert inside.recv(15) == b"HTTP/1.0 200 OK"


@pytest.fixture
def unused(worker: Worker) -> Callable[[str, int], HealthServer]:
    return lambda host, port: HealthServer(host, port, worker.registry, worker.live, worker.ready)


def test_port_in_use_is_one_line_for_the_operator(
    server: HealthServer, unused: Callable[[str, int], HealthServer]
) -> None:
    """Two workers on one machine need two ports: the line names the variable and what to do."""
    with pytest.raises(ConfigurationError) as problem:
        unused("127.0.0.1", server.port).start()
    text = str(problem.value)
    assert text.startswith("METRICS_PORT: ") and str(server.port) in text and "\n" not in text
    assert "in use" in text and "choose another" in text


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_host_that_is_not_here_is_one_line_for_the_operator(
    unused: Callable[[str, int], HealthServer], host: str
) -> None:
    """The line names the other variable."""
    with pytest.raises(ConfigurationError) as problem:
        unused(host, 0).start()
    assert str(problem.value).startswith(f"METRICS_HOST: {host} is not ") and "allowed" in str(problem.value)


def test_port_is_free_again_after_stop(unused: Callable[[str, int], HealthServer]) -> None:
    """A worker that is restarted gets its port back."""
    first = unused("127.0.0.1", 0)
    first.start()
    ask(first, "/livez")
    first.stop()
    second = unused("127.0.0.1", first.port)
    second.start()
    try:
        assert ask(second, "/livez")[0] == 200
    finally:
        second.stop()


def test_stop_without_start_does_nothing(unused: Callable[[str, int], HealthServer]) -> None:
    """A start that failed half-way is stopped like any other."""
    server = unused("127.0.0.1", 0)
    server.stop()
    assert server.port == 0
