"""A small HTTP server for a few short pages. Slow clients never delay a prompt one.

One thread reads the requests of all clients. A client has `HEAD_SECONDS` to send its request, and when places are short
it loses its place to a new client; a prompt client has sent its request by then. Each page is made in its own thread,
once for all clients that wait for it. A connection serves one request. Source: the part of RFC 9112 that probes and
scrapers use.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from queue import SimpleQueue
from typing import cast

from worker.telemetry.views import PLAIN, Page, View, header, takes_gzip

HEAD_SECONDS = 2.0
"""The time from the connection to the end of the request's head."""
WHOLE_SECONDS = 10.0
"""The time from there to the last byte of the answer."""

MAX_CLIENTS = 128
MAX_CLIENTS_PER_ADDRESS = 64
BACKLOG = 4096
"""The connections that the system keeps until they are accepted; it allows up to its own limit. A client that finds no
room there tries again only after a second, however prompt this server is."""
MAX_HEAD_BYTES = 16 * 1024

_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[^ ?]*)(?:\?[^ ]*)? HTTP/1\.[0-9]\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


def _said(status: HTTPStatus) -> Page:
    return Page(status, PLAIN, f"{status.phrase.lower()}\n".encode())


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers of clients that are served at once, and the seconds for the head of a request."""

    max_clients: int = MAX_CLIENTS
    max_clients_per_address: int = MAX_CLIENTS_PER_ADDRESS
    head_seconds: float = HEAD_SECONDS


class PageServer:
    """Serves pages by path."""

    def __init__(self, views: Mapping[str, View], bounds: Bounds) -> None:
        self._views, self._bounds = views, bounds
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event

    def start(self, listening: socket.socket) -> None:
        """Serve the clients that connect to `listening`, a bound socket that this object owns from now on."""
        started = threading.Event()
        arguments = (listening, started)
        self._thread = threading.Thread(target=self._run, args=arguments, name="health", daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """Close the socket and every connection. Does nothing if it was never started."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def _run(self, listening: socket.socket, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(listening, started))
        finally:
            # The caller of `start` must not wait forever if the start failed.
            started.set()

    async def _serve(self, listening: socket.socket, started: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        desks = {path: _Desk(path, view, self._loop) for path, view in self._views.items()}
        room = _Room(self._bounds)
        server = await self._loop.create_server(
            lambda: _Client(desks, room, self._bounds.head_seconds), sock=listening, backlog=MAX_CLIENTS
        )
        # For asyncio, `backlog` is also how many it accepts before it looks at anything else.
        listening.listen(BACKLOG)
        started.set()
        await self._stopping.wait()
        server.close()
        room.clear()
        for desk in desks.values():
            desk.close()


class _Room:
    """The connected clients, oldest first. Their number is bounded, in total and for each address."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._inside: dict[_Client, str] = {}

    def enter(self, client: _Client, address: str) -> None:
        """Add a client. If that is one too many, dismiss the one that has been connected for the longest time.

        It is one with the same address, or with the address that has most clients. A client that has not sent its
        request goes before one that waits for its answer.
        """
        self._inside[client] = address
        counts = Counter(self._inside.values())
        if counts[address] > self._bounds.max_clients_per_address:
            self._dismiss(address, client)
        elif len(self._inside) > self._bounds.max_clients:
            self._dismiss(counts.most_common(1)[0][0], client)

    def leave(self, client: _Client) -> None:
        self._inside.pop(client, None)

    def clear(self) -> None:
        for client in list(self._inside):
            client.hang_up()

    def _dismiss(self, address: str, newcomer: _Client) -> None:
        others = [client for client, its in self._inside.items() if its == address and client is not newcomer]
        goes = next((client for client in others if client.is_slow), others[0])
        self.leave(goes)
        goes.hang_up()


class _Client(asyncio.Protocol):
    """One connection, which sends one request."""

    def __init__(self, desks: Mapping[str, _Desk], room: _Room, head_seconds: float) -> None:
        self._desks, self._room, self._head_seconds = desks, room, head_seconds
        self._received = bytearray()
        self._with_body = True
        self.accept, self.unzips = "", False
        """Its header Accept, and whether it takes gzip."""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self.is_slow = True
        """True until its whole request has been read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._hang_up_in(self._head_seconds)
        peer = transport.get_extra_info("peername")
        self._room.enter(self, str(peer[0]) if peer else "")

    def data_received(self, data: bytes) -> None:
        if not self.is_slow:
            return
        looked_through = max(len(self._received) - 3, 0)
        self._received += data
        end = _HEAD_END.search(self._received, looked_through)
        if end and end.end() <= MAX_HEAD_BYTES:
            self._ask()
        elif len(self._received) > MAX_HEAD_BYTES:
            self._heard()
            self.answer(_said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    def eof_received(self) -> bool:
        """Keep this side open (True) for a client that closed its side after it sent its request."""
        return not self.is_slow

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the library's signature)
        self._stop_timer()
        self._room.leave(self)

    @property
    def waits(self) -> bool:
        """True while the client is connected."""
        return not self._transport.is_closing()

    def hang_up(self) -> None:
        self._transport.abort()

    def answer(self, page: Page) -> None:
        """Write the page and close the connection, unless the client has gone."""
        if self.waits:
            self._transport.write(page.message(with_body=self._with_body))
            self._transport.close()

    def _heard(self) -> None:
        self.is_slow = False
        self._hang_up_in(WHOLE_SECONDS)

    def _ask(self) -> None:
        self._heard()
        request = _REQUEST.match(self._received)
        if request is None:
            self.answer(_said(HTTPStatus.BAD_REQUEST))
            return
        method, path = request[1], request[2].decode("latin-1")
        self._with_body = method != b"HEAD"
        self.accept = header(self._received, b"accept")
        self.unzips = takes_gzip(header(self._received, b"accept-encoding"))
        if method not in (b"GET", b"HEAD"):
            self.answer(_said(HTTPStatus.NOT_IMPLEMENTED))
        elif path not in self._desks:
            self.answer(_said(HTTPStatus.NOT_FOUND))
        else:
            self._desks[path].serve(self)

    def _hang_up_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.hang_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Desk:
    """Makes one page in its own thread, once for all clients that wait for the same form of it at that moment."""

    def __init__(self, path: str, view: View, loop: asyncio.AbstractEventLoop) -> None:
        self._view, self._loop = view, loop
        self._waiting: SimpleQueue[_Client | None] = SimpleQueue()
        threading.Thread(target=self._work, name=f"health{path}", daemon=True).start()

    def serve(self, client: _Client) -> None:
        """Answer `client` as soon as the page is made."""
        self._waiting.put(client)

    def close(self) -> None:
        self._waiting.put(None)

    def _work(self) -> None:
        while (client := self._waiting.get()) is not None:
            clients = [client, *(self._waiting.get_nowait() for _ in range(self._waiting.qsize()))]
            forms: dict[str, list[_Client]] = {}
            for one in clients:
                if one is not None and one.waits:
                    forms.setdefault(self._view.form(one.accept), []).append(one)
            for form, present in forms.items():
                self._answer(self._view.make(form), present)
            if None in clients:
                return

    def _answer(self, page: Page, clients: list[_Client]) -> None:
        unzipping = [client for client in clients if client.unzips]
        self._hand_over(page, [client for client in clients if not client.unzips])
        if unzipping:
            self._hand_over(page.zipped(), unzipping)

    def _hand_over(self, page: Page, clients: list[_Client]) -> None:
        # Once the server has stopped, its loop is closed and no client waits.
        with suppress(RuntimeError):
            for client in clients:
                self._loop.call_soon_threadsafe(client.answer, page)
