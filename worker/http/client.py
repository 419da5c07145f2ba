"""The HTTP client: each request to one server, under a deadline of its own, on a connection that may be kept."""

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
    """Kept connections, for which nobody waits: what a pool needs of its queue, without the locks, which are dear."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002 (the library's signature)
        """What was put last. Raises queue.Empty at once."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        """Keep a connection, or close it where enough are kept."""
        if len(self.queue) < self.maxsize:
            self.queue.append(item)
        else:
            item.close()


class _Pool(urllib3.HTTPConnectionPool):
    """urllib3's pool of connections to one server, with connections of ours."""

    ConnectionCls: Any = Connection
    QueueCls: Any = _Shelf

    def take(self) -> Connection:
        """The connection that was used last and is still good, or a new one. Raises ClosedPoolError."""
        return cast(Connection, self._get_conn())

    def keep(self, connection: Connection) -> None:
        """Have a connection ready for the next request."""
        self._put_conn(cast(Any, connection))


class _SecurePool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls: Any = SecureConnection


@dataclass(frozen=True, slots=True)
class Held:
    """An answer whose head was read, on a connection that nobody else uses until it is released or closed."""

    answer: Answer
    _exchange: Exchange
    _connection: Connection
    _pool: _Pool

    def whole(self, most_bytes: int = MAX_ANSWER_BYTES) -> Reply:
        """The answer with its body, of at most so many bytes.

        Raises OSError, TimeoutError included, and HTTPException, TooLarge included; then the connection is closed.
        """
        try:
            body = self.answer.body(most_bytes)
            self._exchange.reach("answer.after")
        except BaseException:
            self.close()
            raise
        return Reply(self.answer.status, self.answer.headers, body, self._exchange.oddities)

    def release(self) -> None:
        """Keep the connection for the next request, if the answer was read whole and nothing about it was odd."""
        exchange = self._exchange
        if exchange.phase < Phase.BODY_READ or exchange.oddities or self.answer.closes:
            self.close()
        else:
            self._connection.rest()
            self._pool.keep(self._connection)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Client(HTTPAdapter):
    """Sends requests to one server. Any number of threads and greenlets use it at once.

    It is an adapter of `requests`, over pools of urllib3, whose `send` is another: it carries the exchange down to the
    connection, which that of `requests` cannot, and it repeats nothing, follows no redirect, keeps no cookie, and knows
    no proxy, no .netrc and no variable of the environment.
    """

    def __init__(self, base_url: str, *, kept: int, tls: Callable[[], ssl.SSLContext]) -> None:
        """`base_url` is that of a request that was `prepared`.

        `kept`: the most connections that are kept between requests; 0 gives each request one of its own. `tls` is asked
        for HTTPS alone, and says which certificates are trusted. Raises what it raises.
        """
        self._tls = tls() if base_url.startswith("https:") else None
        super().__init__(pool_connections=1, pool_maxsize=kept, max_retries=0)
        self._pool: Any = self.poolmanager.connection_from_url(base_url)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request: requests.PreparedRequest, exchange: Exchange) -> Held:  # type: ignore[override]
        """Send one request and read the head of its answer.

        Raises the exchange's `refusal`, and then nothing was sent and the connection is kept. Raises what `FAULTS`
        lists for all that network and server can do; `exchange.phase` says how far the request had come.
        """
        connection: Connection = self._pool.take()
        try:
            return Held(connection.ask(request, exchange), exchange, connection, self._pool)
        except BaseException as error:
            if error is exchange.refusal:
                self._pool.keep(connection)
            else:
                connection.close()
            raise

    def reach(self, exchange: Exchange) -> None:
        """Connect, shake hands where the address is of HTTPS, and end the connection: nothing is sent.

        Raises what `FAULTS` lists.
        """
        connection: Connection = self._pool.take()
        try:
            connection.open(exchange)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()
        super().close()
