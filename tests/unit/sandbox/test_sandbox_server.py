"""The server's life: starting, stopping, many clients, and any bytes."""

from __future__ import annotations

import logging
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processes import free_port
from worker.sandbox import Sandbox

from .sandbox_client import Client, open_call

CALLS = [
    f"/{call}.{fmt}" for call in ("telephonecall", "telephonestatus", "balance") for fmt in ("json", "xml")
]


def test_unknown_paths_and_methods_are_told(client: Client) -> None:
    """Paths outside the three calls are 404, methods but GET and POST are 405, and health is 200."""
    targets = ("/", "/telephonecall", "/telephonecall.txt", "/telephonecall.json/", "/balance.JSON")
    assert [client.send("GET", target).status for target in targets] == [404] * len(targets)
    assert [client.send("PUT", target).status for target in ("/balance.json", "/_requests")] == [405] * 2
    assert client.send("GET", "/_health").status == 200


def test_content_type_names_format_and_charset(client: Client) -> None:
    """JSON and XML are labelled as clients expect."""
    types = [client.call("2025550199", fmt=fmt).headers["Content-Type"] for fmt in ("json", "xml")]
    assert types == ["application/json; charset=UTF-8", "text/xml; charset=UTF-8"]


def test_connection_serves_many_requests(client: Client) -> None:
    """A keep-alive client stays on the connection that it opened."""
    client.call("2025550199")
    first_socket = client.connection.sock
    client.call("2025550013")
    client.call("2025550005")
    assert client.connection.sock is first_socket is not None


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Lets this process open as many files as hundreds of connections with both their ends need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2048), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
def test_hundreds_of_held_connections_do_no_harm(
    sandbox: Sandbox, client: Client, until: Callable[[Callable[[], bool]], None]
) -> None:
    """A call is still answered while 300 others hang, and none of them takes a thread."""
    threads_before = threading.active_count()
    with ExitStack() as held:
        for _ in range(300):
            held.enter_context(open_call(sandbox, "2025550003"))
        until(lambda: len(sandbox.requests("2025550003")) == 300)
        assert client.call("2025550199").status == 200
        assert threading.active_count() == threads_before


def test_stop_ends_held_connections_and_frees_the_port(
    until: Callable[[Callable[[], bool]], None],
) -> None:
    """Clients that wait for ever see the end, and nobody listens any more."""
    sandbox = Sandbox(port=free_port())
    sandbox.start()
    with open_call(sandbox, "2025550003") as held:
        until(lambda: len(sandbox.requests()) == 1)
        sandbox.stop()
        assert held.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=20)


def test_stopped_sandbox_starts_again_on_its_port_with_its_memory() -> None:
    """An outage and its end: same address, same log."""
    port = free_port()
    sandbox = Sandbox(port=port)
    for _ in range(2):
        with sandbox:
            assert sandbox.port == port
            client = Client(sandbox)
            client.call("2025550199")
            client.close()
    assert len(sandbox.requests()) == 2


def test_sandbox_tells_when_it_is_used_out_of_turn() -> None:
    """No port before the first start, no second start, and stop may always be called."""
    sandbox = Sandbox()
    sandbox.stop()
    with pytest.raises(RuntimeError, match="no port"):
        _ = sandbox.url
    with sandbox:
        assert sandbox.url == f"http://127.0.0.1:{sandbox.port}"
        for start in (sandbox.start, sandbox.serve_forever):
            with pytest.raises(RuntimeError, match="already"):
                start()
    sandbox.stop()


def test_taken_port_is_told_at_once(sandbox: Sandbox) -> None:
    """A second sandbox on the same port fails where it is started."""
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=sandbox.port).start()


def test_serve_forever_returns_after_stop(until: Callable[[Callable[[], bool]], None]) -> None:
    """The foreground form serves, and ends when another thread stops it."""
    sandbox = Sandbox(port=free_port())
    foreground = threading.Thread(target=sandbox.serve_forever, daemon=True)
    foreground.start()

    def healthy() -> bool:
        client = Client(sandbox)
        try:
            return client.send("GET", "/_health").status == 200
        except ConnectionRefusedError:
            return False
        finally:
            client.close()

    until(healthy)
    sandbox.stop()
    foreground.join(timeout=20)
    assert not foreground.is_alive()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(CALLS), st.binary(max_size=300), st.binary(max_size=300))
def test_any_query_and_body_are_answered(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, target: str, query: bytes, body: bytes
) -> None:
    """Whatever bytes a form holds, the answer is 200 and the server logs no error."""
    caplog.set_level(logging.WARNING)
    client = Client(sandbox)
    assert client.send("POST", f"{target}?{quote_from_bytes(query)}", body).status == 200
    client.close()
    assert not caplog.records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_any_raw_bytes_leave_the_server_alive(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    """Bytes that need not be HTTP end the connection, not the server, and it logs no error."""
    caplog.set_level(logging.WARNING)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=20) as connection:
        connection.sendall(garbage + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            continue
    client = Client(sandbox)
    assert client.send("GET", "/_health").status == 200
    client.close()
    assert not caplog.records
