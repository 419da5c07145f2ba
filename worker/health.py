"""A small HTTP server for Prometheus and for whoever asks whether this process lives and is ready.

    GET /metrics   Prometheus text
    GET /livez     200 "ok", or 503 and a line for each reason to restart the process
    GET /readyz    200 "ok", or 503 and a line for each thing that is missing for work

Each connection has a thread, at most 64 at once, and 10 s in all from first byte to last.
"""

from __future__ import annotations

import errno
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from worker.errors import ConfigurationError

MOST_CONNECTIONS = 64
LONGEST_CONNECTION_SECONDS = 10.0

Problems = Callable[[], list[str]]

log = structlog.get_logger(__name__)


class HealthServer:
    """Serves `registry` and the answers of `live` and `ready`, which list problems: none means well.

    Both are called in a thread of the server, for each request; one that raises counts as a problem.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, live: Problems, ready: Problems
    ) -> None:
        self._host, self._port = host, port
        self._pages: dict[str, Callable[[], _Page]] = {
            "/metrics": lambda: _exposition(registry),
            "/livez": lambda: _verdict(live),
            "/readyz": lambda: _verdict(ready),
        }
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started; port 0 becomes a free one."""
        return self._port

    def start(self) -> None:
        """Listen, and serve in a daemon thread. Raises ConfigurationError if the address cannot be had."""
        self._server = _bind(self._host, self._port, self._pages)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.25,), name="health", daemon=True).start()

    def stop(self) -> None:
        """Stop listening; nothing if never started."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


_PLAIN = "text/plain; charset=utf-8"
_Page = tuple[HTTPStatus, str, bytes]
"""Status, content type, body."""


def _exposition(registry: CollectorRegistry) -> _Page:
    try:
        return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)
    except Exception:  # one broken collector must not silence the server
        log.exception("health.scrape_failed")
        return HTTPStatus.INTERNAL_SERVER_ERROR, _PLAIN, b"the metrics cannot be read; see the log\n"


def _verdict(check: Problems) -> _Page:
    try:
        problems = check()
    except Exception as problem:  # a check that cannot answer is an answer
        log.exception("health.check_failed")
        problems = [f"the check failed: {type(problem).__name__}"]
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    return status, _PLAIN, "".join(f"{line}\n" for line in problems or ["ok"]).encode()


def _bind(host: str, port: int, pages: dict[str, Callable[[], _Page]]) -> _Server:
    try:
        return _Server(host, port, pages)
    except socket.gaierror as problem:
        raise ConfigurationError(_foreign(host)) from problem
    except (OSError, OverflowError) as problem:
        raise ConfigurationError(_unusable(host, port, problem)) from problem


def _foreign(host: str) -> str:
    return (
        f"METRICS_HOST: {host} is not an address of this machine; "
        "allowed is one of its names or addresses, as 127.0.0.1 or 0.0.0.0"
    )


def _unusable(host: str, port: int, problem: Exception) -> str:
    code = problem.errno if isinstance(problem, OSError) else None
    if code == errno.EADDRINUSE:
        return (
            f"METRICS_PORT: port {port} on {host} is in use, perhaps by another worker on this machine; "
            "choose another from 1 to 65535"
        )
    if code == errno.EADDRNOTAVAIL:
        return _foreign(host)
    return f"METRICS_PORT: cannot listen on port {port} of {host}: {problem}; choose another from 1 to 65535"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, pages: dict[str, Callable[[], _Page]]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self._open: dict[Any, float] = {}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As in TCPServer: HTTPServer would ask the name service who we are, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, *_: Any, **__: Any) -> bool:
        return len(self._open) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open[request] = time.monotonic() + LONGEST_CONNECTION_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called between connections: end those that dawdle."""
        now = time.monotonic()
        for request, until in list(self._open.items()):
            if now > until:
                _hang_up(request)

    def handle_error(self, *_: Any, **__: Any) -> None:
        log.debug("health.request_failed", problem=sys.exc_info()[1])


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "callworker"
    sys_version = ""

    def do_GET(self) -> None:
        page = self.server.pages.get(urlsplit(self.path).path)
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, _PLAIN, b"not found\n")
        else:
            self._answer(*page())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: probes come every few seconds."""
