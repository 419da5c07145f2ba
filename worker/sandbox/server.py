"""The sandbox as a server: one event loop for all connections, in a thread of its own or in the caller's."""

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
        # The loop may be closed already: Ctrl-C ends it without asking here.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.stopping.set)
        if self.thread is not None:
            self.thread.join()


class Sandbox:
    """The stand-in provider on ``host`` and ``port`` (0: any free one, known once started).

    ``keys`` restricts the API keys accepted to those named; None or empty accepts every well-formed key,
    which is 32 hexadecimal characters. ``sleep`` and ``now`` are the time that behaviours and the log see;
    tests replace them. Use it as a context manager, or call ``start`` and ``stop``; it may be started
    again, and then takes the same port and still knows its refs and its log.

    Known weakness: it speaks plain HTTP only, so a client's TLS phase cannot be tried against it; and it
    holds no more connections than the process may have files open.
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
        """The TCP port. Raises RuntimeError while it is not known, before the first start on port 0."""
        if not self._port:
            raise RuntimeError("the sandbox has no port before it is started")
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end: what ``PROXSTOP_URL`` is set to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def requests(self, phone: str | None = None) -> list[ServedRequest]:
        """Every request served so far, or those for one number, in the order in which they were read."""
        return self._log.records(phone)

    def start(self) -> None:
        """Serves from a daemon thread; clients may connect as soon as this returns.

        Raises OSError if the address cannot be bound, and RuntimeError if it is already serving.
        """
        listening = self._listen()
        listening.thread = threading.Thread(
            target=self._run, args=(listening,), name="callworker-sandbox", daemon=True
        )
        listening.thread.start()

    def serve_forever(self) -> None:
        """Serves from the calling thread until ``stop`` is called elsewhere, or until Ctrl-C.

        Raises OSError and RuntimeError as ``start`` does, and KeyboardInterrupt after Ctrl-C.
        """
        listening = self._listen()
        try:
            self._run(listening)
        finally:
            self._listening = None

    def stop(self) -> None:
        """Closes the port and every connection, held ones too. Does nothing if it is not serving."""
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
        # The runner's end cancels the connections that are still open.
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
        # Cancelled at the end of the sandbox, which asyncio would report as a fault.
        with suppress(asyncio.CancelledError):
            await Connection(reader, writer, self._routes, self._sleep, self._now).serve()
