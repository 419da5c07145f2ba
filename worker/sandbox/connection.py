"""The connection of one client. Requests are read one after the other, and each gets its reply."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

from worker.sandbox.replies import Hold, Reply, Reset, Response, plain
from worker.sandbox.routes import Routes
from worker.sandbox.wire import Unreadable, read_request

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]

_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection:
    """Serves a connection until either side closes it.

    `sleep` makes the pauses of a reply, in seconds. `now` returns Unix time in seconds.
    """

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, routes: Routes, sleep: Sleep, now: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._routes = routes
        self._sleep = sleep
        self._now = now

    async def serve(self) -> None:
        """Serve the connection, and return when it is closed. A client that leaves early is not an error."""
        try:
            self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while await self._exchange():
                continue
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise
        finally:
            self._writer.close()

    async def _exchange(self) -> bool:
        """Serve one request. Returns whether another one may follow."""
        try:
            request = await read_request(self._reader, self._writer)
        except Unreadable as error:
            return await self._send(plain(error.status), keep_alive=False)
        reply = await self._routes.answer(request, self._now())
        return await self._deliver(reply, request.keep_alive)

    async def _deliver(self, reply: Reply, keep_alive: bool) -> bool:
        match reply:
            case Response():
                return await self._send(reply, keep_alive)
            case Hold():
                await self._until_client_leaves()
            case Reset():
                self._reset()
        return False

    async def _send(self, response: Response, keep_alive: bool) -> bool:
        if response.wait_seconds:
            await self._sleep(response.wait_seconds)
        if response.byte_seconds:
            await self._drip(response)
            return False
        self._writer.write(response.head(keep_alive=keep_alive) + response.body)
        await self._writer.drain()
        return keep_alive

    async def _drip(self, response: Response) -> None:
        self._writer.write(response.head(keep_alive=False))
        for byte in response.body:
            await self._sleep(response.byte_seconds)
            if self._reader.at_eof():
                return
            self._writer.write(bytes((byte,)))
            await self._writer.drain()

    async def _until_client_leaves(self) -> None:
        while await self._reader.read(65_536):
            continue

    def _reset(self) -> None:
        # Closing a socket that lingers for zero seconds sends RST instead of FIN.
        self._set_option(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()

    def _set_option(self, level: int, option: int, value: int | bytes) -> None:
        self._writer.get_extra_info("socket").setsockopt(level, option, value)
