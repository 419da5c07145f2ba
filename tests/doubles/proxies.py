"""A proxy that connects to servers with CONNECT, and can do so badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ConnectProxy:
    """Notes each request's head, and asks `answer` what to say to it. After a 200 it leads to the port that was named.

    Each name counts as one of this machine. With an answer of None it says nothing.
    """

    def __init__(self, answer: Callable[[str], bytes | None]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.heads: list[str] = []
        self._live: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in `accept` would take one more connection after a mere close.
        for sock in [self._listener, *self._live]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._live.append(sock)
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        head = b""
        with suppress(OSError):
            while not head.endswith(b"\r\n\r\n"):
                if not (data := sock.recv(4096)):
                    return
                head += data
            self.heads.append(head.decode())
            answer = self._answer(self.heads[-1])
            if answer is not None:
                sock.sendall(answer)
                self._lead(sock) if answer == ESTABLISHED else sock.close()

    def _lead(self, sock: socket.socket) -> None:
        port = int(self.heads[-1].split()[1].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as inner:
            self._live.append(inner)
            back = threading.Thread(target=_pour, args=(inner, sock), daemon=True)
            back.start()
            _pour(sock, inner)
            back.join(30)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def connect_proxy(answer: Callable[[str], bytes | None] = lambda _: ESTABLISHED) -> Iterator[ConnectProxy]:
    with closing(ConnectProxy(answer)) as proxy:
        yield proxy
