"""An address that leads to one server now and to another later, while what is connected stays connected."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Forwarder:
    """Takes connections on loopback and joins each to a server at `target`, a port; for a `with` statement.

    Where nobody listens at `target`, it ends the connection.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()

    def __enter__(self) -> Forwarder:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener)
        self._flowing.set()
        self.cut()

    def freeze(self) -> None:
        """Pass nothing on any more. Connections stay open, and new ones are taken."""
        self._flowing.clear()

    def cut(self) -> None:
        """End the connections that are open now. New ones are taken as before."""
        while self._open:
            _end(self._open.pop())

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._flowing.wait()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    _end(near)
                    continue
                self._open += (near, far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                self._flowing.wait()
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
