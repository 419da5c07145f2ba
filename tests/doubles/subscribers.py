"""Receivers of webhooks on real sockets, each with one behaviour: good ones, broken ones and hostile ones."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from worker.core.endpoints import Endpoint

BODY = '{"id":"evt_1","note":"Grüße"}'.encode()

LOCAL = ["127.0.0.0/8", "::1/128"]
Behaviour = Callable[[socket.socket], None]


class Subscriber:
    """A server that reads one whole request at a time from each connection and gives the answer that a test sets."""

    def __init__(self, behaviour: Behaviour, read: Callable[[socket.socket], bytes]) -> None:
        self._behaviour, self._read = behaviour, read
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook?x=1"
        self.requests: list[bytes] = []
        self.connections, self.ended = 0, 0
        self._live: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for sock in self._live:
            sock.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._live.append(sock)
                self.connections += 1
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with suppress(OSError):
            while request := self._read(sock):
                self.requests.append(request)
                self._behaviour(sock)
        self.ended += 1


def read_request(sock: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(BODY):
        if not (data := sock.recv(65536)):
            return b""
        received += data
    return received


def answering(status: str, *headers: str, body: bytes = b"ok") -> Behaviour:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    answer = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda sock: sock.sendall(answer)


def dripping(start: bytes) -> Behaviour:
    """Sends `start`, then a byte every 20 ms without an end: no single read ever waits long."""

    def drip(sock: socket.socket) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(b"x")
            time.sleep(0.02)

    return drip


def resetting(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()


@contextmanager
def subscriber(
    behaviour: Behaviour, read: Callable[[socket.socket], bytes] = read_request
) -> Iterator[Subscriber]:
    with closing(Subscriber(behaviour, read)) as server:
        yield server


def headers_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def behind_tls(certificate: Path, behaviour: Behaviour) -> Behaviour:
    """A connection that begins with a handshake, reads the event, and goes on as `behaviour`."""

    def talk(sock: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with context.wrap_socket(sock, server_side=True) as encrypted:
            read_request(encrypted)
            behaviour(encrypted)

    return talk


def local_endpoint(url: str, **fields: Any) -> Endpoint:
    """Return an endpoint with which the guard lets events go to this machine, and to the port in `url`."""
    port = urlsplit(url).port
    exceptions = {"allow_insecure": True, "allow_ports": [port] if port else [], "allow_networks": LOCAL}
    return Endpoint.model_validate({"url": url, **exceptions, **fields})
