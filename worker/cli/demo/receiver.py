"""A webhook receiver as a subscriber would write it: it checks the signature, keeps ids and drops repeats."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from worker.delivery.signing import InvalidSignature, verify

MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One POST: its path, the event's id, its bytes, whether the signature was valid and whether it is a repeat."""

    path: str
    event_id: str
    body: bytes
    verified: bool
    repeated: bool


class Receiver:
    """Listens on `host` and `port` as a context manager. `secrets` are the signing keys by path.

    The first event is kept but answered with 503, as if the answer had been lost: the worker must send it again, and
    the receiver must drop it as a repeat. Raises OSError if it cannot listen on the address.
    """

    def __init__(self, host: str, port: int, secrets: Mapping[str, Sequence[bytes]]) -> None:
        self._secrets = dict(secrets)
        self._received: list[Received] = []
        self._lock = threading.Lock()
        self._server = _Server((host, port), _Handler, self)

    @property
    def port(self) -> int:
        """The port that the receiver listens on."""
        return int(self._server.server_address[1])

    def received(self) -> list[Received]:
        """All requests so far, in order of arrival."""
        with self._lock:
            return list(self._received)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Check one POST and keep it. Returns the HTTP status to answer. The names of `headers` are in lower case."""
        verified = self._verified(path, headers, body)
        event_id = headers.get("webhook-id", "")
        with self._lock:
            place = (path, event_id)
            repeated = any((one.path, one.event_id) == place for one in self._received if one.verified)
            first = not self._received
            self._received.append(Received(path, event_id, body, verified, repeated))
        if not verified:
            return 401
        return 503 if first else 204

    def _verified(self, path: str, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            verify(self._secrets.get(path, ()), headers, body, time.time())
        except InvalidSignature:
            return False
        return True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="receiver", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A connection beyond the library's five that wait would be made a second late.
    request_queue_size = 1024
    # Another program on the port must cause an error, not share the port.
    allow_reuse_port = False
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler], receiver: Receiver) -> None:
        self.receiver = receiver
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed the connection early."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), MAX_BODY_BYTES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receiver.take(self.path, headers, self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the demo reports what came."""
