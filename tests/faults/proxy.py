"""A TCP proxy on loopback that can disturb the line between a worker and a server."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from tests.processes import BACKLOG

CHUNK_BYTES = 65536
DELAY_SECONDS = 0.25
DRIP_BYTES, DRIP_SECONDS = 16, 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


Hear = Callable[[bytes, float], None]
"""Given a piece of what a client sent, and when it came (Unix seconds)."""


class Illness(StrEnum):
    """The kinds of disturbance of a line."""

    NONE = "none"
    DELAY = "delay"
    """Each piece comes `DELAY_SECONDS` late."""
    DROP = "drop"
    """Nothing gets through, nobody is told; what was sent arrives after the mending, as TCP repeats it."""
    RESET = "reset"
    """Each connection is torn down with a TCP reset after so many bytes, counted both ways."""
    HALF_OPEN = "half_open"
    """The connections that stand never carry a byte again; new ones are well. The server hears of it at the mending,
    if the client has left by then; the client must find out by itself."""
    DRIP = "drip"
    """`DRIP_BYTES` each `DRIP_SECONDS`."""
    REFUSE = "refuse"
    """All connections are reset, and new ones refused."""


@dataclass(frozen=True)
class Fault:
    """An illness; only a reset uses `after_bytes`."""

    illness: Illness = Illness.NONE
    after_bytes: int = 0


class _Link:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.writers = (near, far)
        self.carried = 0
        self.dead = False

    def reset(self) -> None:
        for writer in self.writers:
            sock: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Proxy:
    """Forwards `host`:`port` to 127.0.0.1:`target`. A context manager, with an event loop in a thread of its own."""

    def __init__(
        self, target: int, hear: Hear = lambda piece, unix: None, *, host: str = "127.0.0.1"
    ) -> None:
        """Make a proxy; `hear` gets what the near side sends, as it comes in and before the illness."""
        self._target, self._hear, self.host, self.port = target, hear, host, 0
        self._fault = Fault()
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server

    def __enter__(self) -> Self:
        self._thread.start()
        self._mended = asyncio.Event()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ail(self, fault: Fault) -> None:
        """Apply a fault to the line; `Fault()` ends it."""
        self._run(self._ail(fault))

    def repair(self) -> None:
        self.ail(Fault())

    def part(self) -> None:
        """Reset the open connections; new ones work."""
        self._run(self._part())

    def lead_to(self, target: int) -> None:
        """Lead new connections to another port; open ones keep theirs."""
        self._target = target

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        self._each(_Link.reset)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _ail(self, fault: Fault) -> None:
        was, self._fault = self._fault.illness, fault
        self._mended.set()
        self._mended = asyncio.Event()
        if was is Illness.REFUSE:
            await self._listen()
        if fault.illness is Illness.REFUSE:
            self._server.close()
            self._each(_Link.reset)
        if fault.illness is Illness.HALF_OPEN:
            self._each(_die)
        if fault.illness is Illness.RESET:
            self._each(_count_anew)

    async def _part(self) -> None:
        self._each(_Link.reset)

    def _each(self, act: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            act(link)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            near.transport.abort()
            return
        link = _Link(near, far)
        self._links.add(link)
        try:
            await asyncio.gather(self._pump(link, near_reader, far), self._pump(link, far_reader, near))
        except (OSError, asyncio.CancelledError):
            link.reset()
        finally:
            self._links.discard(link)
            near.close()
            far.close()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction until it ends, then pass the end on unless the link is dead."""
        while piece := await reader.read(CHUNK_BYTES):
            if writer is link.writers[1]:
                self._hear(piece, time.time())
            await self._carry(link, piece, writer)
        while self._fault.illness is Illness.DROP or (link.dead and self._fault.illness is Illness.HALF_OPEN):
            await self._mended.wait()
        if link.dead:
            link.reset()
        else:
            with suppress(OSError):
                writer.write_eof()

    async def _carry(self, link: _Link, piece: bytes, writer: asyncio.StreamWriter) -> None:
        while self._fault.illness is Illness.DROP:
            await self._mended.wait()
        fault = self._fault
        if link.dead:
            return
        if fault.illness is Illness.DELAY:
            await asyncio.sleep(DELAY_SECONDS)
        if fault.illness is Illness.DRIP:
            piece = await self._drip(piece, writer)
        if fault.illness is Illness.RESET:
            piece = piece[: max(fault.after_bytes - link.carried, 0)]
        writer.write(piece)
        await writer.drain()
        link.carried += len(piece)
        if fault.illness is Illness.RESET and link.carried >= fault.after_bytes:
            link.reset()
            raise ConnectionResetError

    async def _drip(self, piece: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Write a few bytes at a time while the line is ill, and return the rest."""
        while piece and self._fault.illness is Illness.DRIP:
            writer.write(piece[:DRIP_BYTES])
            await writer.drain()
            piece = piece[DRIP_BYTES:]
            await asyncio.sleep(DRIP_SECONDS)
        return piece


def _die(link: _Link) -> None:
    link.dead = True


def _count_anew(link: _Link) -> None:
    link.carried = 0
