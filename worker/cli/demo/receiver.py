"""A webhook receiver as a subscriber would write it: checks the signature, keeps ids, drops repeats."""

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

LARGEST_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One POST: where, which event, its bytes; whether its signature held, and whether it came before."""

    path: str
    event_id: str
    body: bytes
    verified: bool
    repeated: bool


class Receiver:
    """Listens on `host` and `port`; `secrets` are the signing keys by path. A context manager.

    The first event is taken and answered with 503 all the same, as if the answer had been lost: the worker must send
    it again, and the receiver drop it as a repeat. Raises OSError if the address cannot be had.
    """

    def __init__(self, host: str, port: int, secrets: Mapping[str, Sequence[bytes]]) -> None:
        self._secrets = dict(secrets)
        self._received: list[Received] = []
        self._lock = threading.Lock()
        self._server = _Server((host, port), _Handler, self)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def received(self) -> list[Received]:
        """Everything so far, in order of arrival."""
        with self._lock:
            return list(self._received)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Judge one POST and keep it; the HTTP status of the answer. `headers` are named in lower case."""
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
    # Another program on the port must be noticed, not shared with.
    allow_reuse_port = False
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler], receiver: Receiver) -> None:
        self.receiver = receiver
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), LARGEST_BODY_BYTES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receiver.take(self.path, headers, self.rfile.read(length))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the demo tells what came."""
