"""The HTTP client of one server. Each request has its own deadline and uses a connection that may be kept."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker.http.answer import Answer, Reply
from worker.http.connection import Connection, SecureConnection
from worker.http.phases import MAX_ANSWER_BYTES, Exchange, Phase


class _Shelf(queue.LifoQueue[Any]):
    """The queue of kept connections, as a pool needs it. Nobody waits for one, so it has no locks, which are costly."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002 (the library's signature)
        """Return the connection that was put last. Raises queue.Empty at once if there is none."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        """Keep a connection, or close it if enough are kept."""
        if len(self.queue) < self.maxsize:
            self.queue.append(item)
        else:
            item.close()


class _Pool(urllib3.HTTPConnectionPool):
    """urllib3's pool of connections to one server, with connections of this package."""

    ConnectionCls: Any = Connection
    QueueCls: Any = _Shelf

    def take(self) -> Connection:
        """Return the connection that was used last, if it still works, or a new one. Raises ClosedPoolError."""
        return cast(Connection, self._get_conn())

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._put_conn(cast(Any, connection))

    def drop(self, connection: Connection) -> None:
        """Close a connection that is kept."""
        cast(_Shelf, self.pool).queue.remove(connection)
        connection.close()


class _SecurePool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls: Any = SecureConnection


class Idle:
    """The kept connections of several clients: `most` in all, and none that is too old for a further request.

    For greenlets of one thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pools: dict[Connection, _Pool] = {}

    def __len__(self) -> int:
        return len(self._pools)

    def add(self, connection: Connection, pool: _Pool) -> None:
        """Let a connection wait in its pool. Closes those that have waited too long and, of too many, the longest."""
        while self._pools and (len(self) >= self._most or next(iter(self._pools)).is_stale):
            oldest = next(iter(self._pools))
            self._pools.pop(oldest).drop(oldest)
        pool.keep(connection)
        self._pools[connection] = pool

    def remove(self, connection: Connection) -> None:
        """Note that a connection no longer waits, if it has waited."""
        self._pools.pop(connection, None)


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer whose head was read. Nobody else uses its connection until this is released or closed."""

    answer: Answer
    _exchange: Exchange
    _connection: Connection
    _client: Client

    def whole(self, most_bytes: int = MAX_ANSWER_BYTES) -> Reply:
        """Read the body, of at most `most_bytes`, and return the whole answer.

        Raises OSError, TimeoutError among them, and HTTPException, TooLarge among them; then the connection is closed.
        """
        try:
            body = self.answer.body(most_bytes)
            self._exchange.pass_failpoint("answer.after")
        except BaseException:
            self.close()
            raise
        return Reply(self.answer.status, self.answer.headers, body, self._exchange.oddities)

    def release(self) -> None:
        """Keep the connection for the next request if the answer was read whole and was not odd; else close it."""
        exchange = self._exchange
        if exchange.phase < Phase.BODY_READ or exchange.oddities or self.answer.closes:
            self.close()
        else:
            self._connection.rest()
            self._client.keep(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Client(HTTPAdapter):
    """Sends requests to one server. Any number of threads and greenlets may use it at once.

    It is an adapter of `requests` over a pool of urllib3, with its own `send`. Unlike the library's, that passes the
    exchange down to the connection. It repeats nothing, follows no redirect, keeps no cookie, and uses no proxy, no
    .netrc and no environment variable.
    """

    def __init__(
        self, base_url: str, *, kept: int, tls: Callable[[], ssl.SSLContext], idle: Idle | None = None
    ) -> None:
        """`base_url` is the URL of a request that was `prepared`.

        `kept` is the most connections that are kept between requests; with 0 each request has its own. `idle` bounds
        those of several clients together; `kept` is then at least its bound. `tls` is called for HTTPS only and returns
        which certificates are trusted. Raises what `tls` raises.
        """
        self._idle = idle
        self._tls = tls() if base_url.startswith("https:") else None
        super().__init__(pool_connections=1, pool_maxsize=kept, max_retries=0)
        self._pool: Any = self.poolmanager.connection_from_url(base_url)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request: requests.PreparedRequest, exchange: Exchange) -> OpenAnswer:  # type: ignore[override]
        """Send one request and read the head of its answer.

        Raises the exchange's `refusal`; then nothing was sent and the connection is kept. Raises an error of `FAULTS`
        for every fault of network and server; `exchange.phase` then says how far the request had come.
        """
        connection = self._take()
        try:
            return OpenAnswer(connection.ask(request, exchange), exchange, connection, self)
        except BaseException as error:
            if error is exchange.refusal:
                self.keep(connection)
            else:
                connection.close()
            raise

    def reach(self, exchange: Exchange) -> None:
        """Connect, with the TLS handshake if the address is https, and close the connection: nothing is sent.

        Raises an error of `FAULTS`.
        """
        connection: Connection = self._pool.take()
        try:
            connection.open(exchange)
        finally:
            connection.close()

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        if self._idle is None:
            self._pool.keep(connection)
        else:
            self._idle.add(connection, self._pool)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        super().close()

    def _take(self) -> Connection:
        connection: Connection = self._pool.take()
        if self._idle is not None:
            self._idle.remove(connection)
        return connection
