"""A Sentinel that says what a test tells it to say, for what real ones say too seldom."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from itertools import count

from callworker.sentinels import Named, Place

NAME = "callworker"
SILENT = "silent"


class ScriptedSentinel:
    """Answers on loopback with `says`: a place with its epoch and whether it is down, the text of an error, or SILENT.

    For a `with` statement. `asked` counts its connections.
    """

    def __init__(self, says: Place | str, *, epoch: int = 1, down: bool = False) -> None:
        self.says, self.epoch, self.down = says, epoch, down
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = Place("127.0.0.1", int(self._listener.getsockname()[1]))
        self.asked = 0

    def named(self) -> Named:
        assert isinstance(self.says, Place)
        return Named(self.says, self.epoch, self.down, self.place)

    def __enter__(self) -> ScriptedSentinel:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            for self.asked in count(1):
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            commands = near.makefile("rb")
            while head := commands.readline():
                words = [self._word(commands) for _ in range(int(head[1:]))]
                if self.says != SILENT:
                    near.sendall(self._reply([word.upper() for word in words]))

    @staticmethod
    def _word(commands: object) -> bytes:
        length = int(commands.readline()[1:])  # type: ignore[attr-defined]  # a file of bytes
        return bytes(commands.read(length + 2)[:-2])  # type: ignore[attr-defined]  # the same

    def _reply(self, words: list[bytes]) -> bytes:
        if words[0] != b"SENTINEL":
            return b"+OK\r\n"
        if words[1] in (b"CKQUORUM", b"REPLICAS"):
            return b"*0\r\n"
        if isinstance(self.says, str):
            return f"-{self.says}\r\n".encode()
        host, port = self.says
        if words[1] == b"GET-MASTER-ADDR-BY-NAME":
            return _array([host, str(port)])
        flags = "s_down,master" if self.down else "master"
        return _array(["ip", host, "port", str(port), "flags", flags, "config-epoch", str(self.epoch)])


def _array(texts: list[str]) -> bytes:
    return f"*{len(texts)}\r\n".encode() + b"".join(f"${len(text)}\r\n{text}\r\n".encode() for text in texts)
