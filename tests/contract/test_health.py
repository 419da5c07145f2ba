"""The HTTP server for Prometheus and probes, over real sockets."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from tests.processes import free_port
from worker.errors import ConfigurationError
from worker.telemetry import health, pages
from worker.telemetry.health import HealthServer
from worker.telemetry.pages import MAX_CLIENTS, Bounds


def bounded(**bounds: float) -> pytest.MarkDecorator:
    """A test of a server with these bounds."""
    name = " ".join(f"{name}={value}" for name, value in bounds.items())
    return pytest.mark.parametrize("server", [Bounds(**bounds)], indirect=True, ids=[name])  # type: ignore[arg-type]


patient = bounded(head_seconds=60)
"""Slow clients keep their places for longer than `ask` waits, however busy the machine is."""


class Worker:
    """A process to be asked about: its problems, and a registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Counter("callworker_jobs_finished", "Jobs that ended.", registry=self.registry).inc(3)
        self.dead: list[str] = []
        self.missing: list[str] = []
        self.fault: Exception | None = None
        self.pause: threading.Event | None = None

    def live(self) -> list[str]:
        return self.dead

    def ready(self) -> list[str]:
        if self.pause:
            self.pause.wait(60)
        if self.fault:
            raise self.fault
        return self.missing


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(request: pytest.FixtureRequest, worker: Worker) -> Iterator[HealthServer]:
    """A server on a free port of loopback, with its usual bounds or those that the test is parametrized with."""
    bounds: Bounds | None = getattr(request, "param", None)
    server = HealthServer("127.0.0.1", 0, worker.registry, worker.live, worker.ready, bounds=bounds)
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
    """The page is the text that Prometheus scrapes, with a query or without."""
    for path in ("/metrics", "/metrics?x=1"):
        status, content_type, body = ask(server, path)
        assert status == 200 and content_type.startswith("text/plain; version=0.0.4")
        assert "callworker_jobs_finished_total 3.0" in body.splitlines()


def fetched(server: HealthServer, path: str = "/metrics", **headers: str) -> tuple[Mapping[str, str], bytes]:
    """The answer's headers, in small letters, and its body; `_` in a name of `headers` is `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=named)
        answer = connection.getresponse()
        assert answer.status == 200
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3])
def test_metrics_are_openmetrics_for_a_client_that_accepts_it(
    server: HealthServer, worker: Worker, accept: str
) -> None:
    """With the job that each bucket names as an example, as both Prometheus 2 and 3 ask for it."""
    seconds = Histogram(
        "callworker_job_seconds", "From a job's acceptance to its end.", registry=worker.registry
    )
    seconds.observe(0.3, {"job_id": "order-4712"})
    headers, body = fetched(server, accept=accept)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics(body.decode())  # type: ignore[no-untyped-call]
    found = {sample.name: sample for family in families for sample in family.samples}
    assert found["callworker_jobs_finished_total"].value == 3
    assert b'# {job_id="order-4712"} 0.3' in body
    assert b"order-4712" not in fetched(server)[1]


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "application/openmetrics-text;version=soon", "\x00\xff;;,=", "x" * 9000],
)
def test_any_other_client_gets_the_older_text(server: HealthServer, accept: str) -> None:
    """A browser, and whatever else may come."""
    headers, body = fetched(server, accept=accept)
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"callworker_jobs_finished_total 3.0" in body


@pytest.mark.parametrize(
    ("accepted", "zips"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("", False), ("gzip;q=0", False), ("gzip2", False)],
)
def test_long_page_is_compressed_for_a_client_that_accepts_it(
    server: HealthServer, worker: Worker, accepted: str, zips: bool
) -> None:
    """A page of metrics becomes a tenth as long. What is short stays as it is."""
    for n in range(50):
        Gauge(f"callworker_gauge_{n}", "A gauge.", registry=worker.registry)
    headers, body = fetched(server, accept_encoding=accepted)
    assert headers["vary"] == "Accept, Accept-Encoding"
    assert headers.get("content-encoding") == ("gzip" if zips else None)
    assert len(body) == int(headers["content-length"])
    assert b"callworker_gauge_49 0.0" in (gzip.decompress(body) if zips else body)
    headers, body = fetched(server, "/livez", accept_encoding=accepted)
    assert body == b"ok\n" and "content-encoding" not in headers


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probe_says_ok(server: HealthServer, path: str) -> None:
    """A worker with which nothing is wrong answers 200 and a word."""
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
    """The server has three pages and no more."""
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
        b"GET /livez HTTP/1.0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ],
    ids=["nothing", "empty", "no path", "TLS", "version", "bad URL", "long path", "many headers"],
)
def test_bad_request_does_not_harm_the_server(server: HealthServer, request_bytes: bytes) -> None:
    """Scanners knock at every port."""
    with connected(server) as client:
        try:
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(12)
        except OSError:
            answer = b""
    assert b"200" not in answer
    assert ask(server, "/livez")[0] == 200


def test_client_that_hangs_up_does_not_harm_the_server(server: HealthServer) -> None:
    """It may be gone before its answer is written."""
    for _ in range(5):
        with connected(server) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert ask(server, "/livez")[0] == 200


def is_hung_up_on(client: socket.socket) -> bool:
    """True once the server has ended the connection, with what it had not read yet or without."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


SLOW: dict[str, bytes] = {
    "silent": b"",
    "in the path": b"GET /liv",
    "in the header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ",
}


@pytest.fixture
def crowd(server: HealthServer) -> Iterator[Callable[[int, bytes, str], list[socket.socket]]]:
    """Connects many clients from one address, each of which sends the same bytes and then waits."""
    come: list[socket.socket] = []

    def connect(count: int, sent: bytes, address: str = "127.0.0.1") -> list[socket.socket]:
        for _ in range(count):
            come.append(socket.create_connection(("127.0.0.1", server.port), 30, (address, 0)))
            with suppress(OSError):
                come[-1].sendall(sent)
        return come[-count:]

    yield connect
    for client in come:
        client.close()


@patient
@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("count", [120, 500])
def test_crowd_of_slow_clients_does_not_keep_a_probe_out(
    server: HealthServer, crowd: Callable[..., list[socket.socket]], count: int, sent: bytes
) -> None:
    """However many connections dawdle, from the probe's own address too, each probe and scrape is answered (E9).

    Once 64 of them had each a place for 10 s, every probe failed and the worker was restarted.
    """
    crowd(count, sent)
    for path in ("/livez", "/readyz", "/metrics") * 3:
        assert ask(server, path)[0] == 200
        crowd(5, sent)


@patient
def test_crowd_that_comes_at_once_finds_room(
    server: HealthServer, crowd: Callable[..., list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that come faster than they are accepted wait in the system's queue.

    Once that queue had 128 places. Who found it full was answered a second late, or later.
    """
    over, enter = threading.Event(), pages._Room.enter

    def enter_later(room: pages._Room, client: pages._Client, address: str) -> None:
        over.wait(60)
        enter(room, client, address)

    monkeypatch.setattr(pages._Room, "enter", enter_later)
    crowd(400, b"")
    over.set()
    assert ask(server, "/livez")[0] == 200


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system takes little of what is written to a client of the server that starts next."""
    listen = health._listening

    def narrowed(host: str, port: int) -> socket.socket:
        listening = listen(host, port)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return listening

    monkeypatch.setattr(health, "_listening", narrowed)


@pytest.mark.usefixtures("small_buffers")
def test_clients_that_do_not_read_keep_nobody_out(
    server: HealthServer,
    worker: Worker,
    crowd: Callable[..., list[socket.socket]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers that nobody takes give up their places as well (E9)."""
    monkeypatch.setattr(pages, "WHOLE_SECONDS", 60)
    for number in range(1000):
        Gauge(f"callworker_large_{number}", "x" * 1000, registry=worker.registry)
    crowd(150, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert ask(server, "/livez")[0] == 200


def test_page_that_takes_long_does_not_hold_up_another(server: HealthServer, worker: Worker) -> None:
    """A Redis that hangs makes `/readyz` wait, and `/livez` not: the process would be restarted for it (E9)."""
    over = threading.Event()
    worker.pause = over
    with connected(server) as waiting:
        waiting.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert ask(server, "/livez")[0] == 200
        over.set()
        assert waiting.recv(12) == b"HTTP/1.0 200"


@patient
def test_one_address_has_only_its_own_places(
    server: HealthServer, crowd: Callable[..., list[socket.socket]]
) -> None:
    """A crowd at one address does not send away those of another who are still writing (E9)."""
    (early,) = crowd(1, b"GET /livez HTTP/1.0\r\n", "127.0.0.2")
    crowd(MAX_CLIENTS, b"", "127.0.0.3")
    early.sendall(b"\r\n")
    assert early.recv(15) == b"HTTP/1.0 200 OK"


@bounded(max_clients_per_address=2, head_seconds=60)
@pytest.mark.usefixtures("server")
def test_oldest_of_the_slow_goes_first(crowd: Callable[..., list[socket.socket]]) -> None:
    """A newcomer is let in; who has asked already is not sent away for one who has not (E9)."""
    first, second = crowd(2, b"GET /livez HTTP/1.0\r\n")
    (third,) = crowd(1, b"GET /livez HTTP/1.0\r\n")
    assert is_hung_up_on(first)
    for client in (second, third):
        client.sendall(b"\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"


@bounded(max_clients=10, head_seconds=60)
def test_crowd_from_everywhere_gives_way_too(
    server: HealthServer, crowd: Callable[..., list[socket.socket]]
) -> None:
    """The oldest connection is closed if each address has one place and all are taken (E9)."""
    slow = [crowd(1, b"", f"127.0.1.{number}")[0] for number in range(1, 11)]
    assert ask(server, "/livez")[0] == 200
    assert is_hung_up_on(slow[0])


@bounded(head_seconds=0.05)
@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
@pytest.mark.usefixtures("server")
def test_client_that_dawdles_is_hung_up_on(crowd: Callable[..., list[socket.socket]], sent: bytes) -> None:
    """A request that does not come ends its connection by the server's hand, so that none can pile up (E9)."""
    (client,) = crowd(1, sent)
    assert is_hung_up_on(client)


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
    first = unused("127.0.0.1", free_port())
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
