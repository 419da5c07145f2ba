"""A provider of exact faults: each connection is played by a script, on real sockets of 127.0.0.1."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import BACKLOG

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"
GOOD = f"<response><ref>{REF}</ref></response>".encode()
INVALID = b"<failed><error_code>INVALID_TELEPHONE</error_code><error_msg>Not valid.</error_msg></failed>"
RST_ON_CLOSE = struct.pack("ii", 1, 0)
EXPECT_SECONDS = 30.0


def reply(body: bytes = GOOD, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer of known length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Peer:
    """The provider's end of one connection."""

    sock: socket.socket
    provider: ScriptedProvider

    def request(self) -> bytes:
        """The next request, whole, noted in `provider.requests`; b"" when the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self.sock.recv(65536)):
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:")
        while len(body) < length:
            body += self.sock.recv(65536)
        self.provider.requests.append(head + b"\r\n\r\n" + body)
        return self.provider.requests[-1]

    def answer(self, data: bytes) -> None:
        """Read a request, write `data`."""
        if self.request():
            self.sock.sendall(data)

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        """Write one byte after the other, until the test ends or the client goes."""
        for at in range(len(data)):
            if self.provider.over.wait(seconds):
                return
            self.sock.sendall(data[at : at + 1])

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        self.sock.close()

    def stay_silent(self) -> None:
        """Hold the connection open until the test ends."""
        self.provider.over.wait()


Script = Callable[[Peer], object]


@dataclass
class ScriptedProvider:
    """Plays `scripts` to the connections in their order, the last one again and again.

    `requests` are those that were read whole; `over` is set when the test ends.
    """

    scripts: list[Script]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    sockets: list[socket.socket] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.over.set()
        # Wakes accept(), which a close alone leaves asleep.
        with contextlib.suppress(OSError), socket.create_connection(self._listener.getsockname(), 1):
            pass
        for sock in list(self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self.over.is_set():
            sock, _ = self._listener.accept()
            if self.over.is_set():
                sock.close()
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            self.sockets.append(sock)
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        sock.settimeout(5)
        with sock, contextlib.suppress(OSError):
            script(Peer(sock, self))


Play = Callable[..., ScriptedProvider]
"""The fixture `play`: starts a provider with the scripts given."""


def answers(data: bytes) -> Script:
    """A script that answers each request of its connection with `data`."""

    def play(peer: Peer) -> None:
        while peer.request():
            peer.sock.sendall(data)

    return play


def in_turn(*scripts: Script) -> Script:
    """A script that plays several, one after the other."""
    return lambda peer: [script(peer) for script in scripts]


def answers_once(data: bytes) -> Script:
    """A script that answers one request with `data` and closes."""
    return lambda peer: peer.answer(data)


def drips(data: bytes) -> Script:
    """A script that writes `data` a byte at a time."""
    return lambda peer: peer.drip(data)


def expect(event: threading.Event) -> None:
    """Wait for what must come soon."""
    assert event.wait(EXPECT_SECONDS)


class Departure:
    """A script that ends its connection, with FIN or RST, while the test waits for it in `happen`."""

    def __init__(self, *, reset: bool) -> None:
        self._reset, self._go, self._gone = reset, threading.Event(), threading.Event()

    def __call__(self, peer: Peer) -> None:
        self._go.wait(EXPECT_SECONDS)
        if self._reset:
            peer.reset()
        else:
            peer.sock.close()
        self._gone.set()

    def happen(self) -> None:
        self._go.set()
        expect(self._gone)


def over_tls(script: Script, certificate: Path) -> Script:
    """`script` behind a TLS handshake with `certificate`, a PEM file with its key."""

    def play(peer: Peer) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with context.wrap_socket(peer.sock, server_side=True) as sock:
            peer.provider.sockets.append(sock)
            script(Peer(sock, peer.provider))

    return play


def make_certificate(folder: Path, subject: str) -> Path | None:
    """A self-signed certificate for the alternative name `subject`, with its key; None without the openssl tool."""
    if not (tool := shutil.which("openssl")):
        return None
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = f"{tool} req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split()
    names = ["-subj", "/CN=callworker test", "-addext", f"subjectAltName={subject}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate
