"""The sandbox as a server: one event loop for all connections, in its own thread or in the caller's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType

from worker.sandbox.connection import Clock, Connection, Sleep
from worker.sandbox.provider import Provider
from worker.sandbox.request_log import RequestLog, ServedRequest
from worker.sandbox.routes import Routes
from worker.sandbox.wire import MAX_HEAD_BYTES

_BACKLOG = 1024


class _Listening:
    """A bound socket and the event loop that will serve it, from start to stop."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.loop = asyncio.new_event_loop()
        self.stopping = asyncio.Event()
        self.thread: threading.Thread | None = None

    def end(self) -> None:
        # The loop may be closed already: Ctrl-C ends it without this method.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.stopping.set)
        if self.thread is not None:
            self.thread.join()


class Sandbox:
    """The stand-in provider on `host` and `port`. With port 0 it takes a free one, which is known after the start.

    `keys` names the API keys to accept; None or an empty collection accepts every well-formed key, which has 32
    hexadecimal characters. `sleep` and `now` are the time that behaviours and the log see; tests replace them. Use it
    as a context manager, or call `start` and `stop`. After another start it has the same port, refs and log.

    Known weakness: it speaks only plain HTTP, so it cannot test a client's TLS phase, and it holds at most as many
    connections as the process may have open files.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Collection[str] | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        now: Clock = time.time,
    ) -> None:
        self._host = host
        self._port = port
        self._sleep = sleep
        self._now = now
        self._log = RequestLog()
        self._routes = Routes(Provider(keys), self._log)
        self._listening: _Listening | None = None

    @property
    def port(self) -> int:
        """The TCP port. Raises RuntimeError before the first start on port 0, when it is not known yet."""
        if not self._port:
            raise RuntimeError("the sandbox has no port before it is started")
        return self._port

    @property
    def url(self) -> str:
        """The base URL without a slash at its end, as a value for `PROXSTOP_URL`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def requests(self, phone: str | None = None) -> list[ServedRequest]:
        """All requests so far, or those for one number, in the order in which they were read."""
        return self._log.records(phone)

    def start(self) -> None:
        """Serve from a daemon thread. Clients may connect as soon as this returns.

        Raises OSError if it cannot listen on the address, and RuntimeError if it is already serving.
        """
        listening = self._listen()
        listening.thread = threading.Thread(
            target=self._run, args=(listening,), name="callworker-sandbox", daemon=True
        )
        listening.thread.start()

    def serve_forever(self) -> None:
        """Serve from the calling thread until another thread calls `stop`, or until Ctrl-C.

        Raises OSError and RuntimeError as `start` does, and KeyboardInterrupt after Ctrl-C.
        """
        listening = self._listen()
        try:
            self._run(listening)
        finally:
            self._listening = None

    def stop(self) -> None:
        """Close the port and every connection, also those that are held. Does nothing if it is not serving."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _listen(self) -> _Listening:
        if self._listening is not None:
            raise RuntimeError("the sandbox is already serving")
        self._listening = _Listening(self._host, self._port)
        self._port = self._listening.socket.getsockname()[1]
        return self._listening

    def _run(self, listening: _Listening) -> None:
        # At its end the runner cancels the connections that are still open.
        with asyncio.Runner(loop_factory=lambda: listening.loop) as runner:
            runner.run(self._serve(listening))

    async def _serve(self, listening: _Listening) -> None:
        server = await asyncio.start_server(
            self._talk, sock=listening.socket, limit=MAX_HEAD_BYTES, backlog=_BACKLOG
        )
        try:
            await listening.stopping.wait()
        finally:
            server.close()

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        # The end of the sandbox cancels this, and asyncio would report that as an error.
        with suppress(asyncio.CancelledError):
            await Connection(reader, writer, self._routes, self._sleep, self._now).serve()
