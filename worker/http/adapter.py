"""A requests adapter for one host: urllib3's pool, on whose connections one request is sent and one answer read."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from worker.http.connection import PhasedHTTPConnection, PhasedHTTPSConnection
from worker.http.inbox import Reply
from worker.http.phases import current
from worker.http.waiting import PatientTLSSocket
from worker.network import trust


@dataclass(frozen=True, slots=True)
class Connections:
    """`kept`: the most that are kept between requests; 0 gives each request a connection of its own.

    `ca_file`: certificates that are trusted beside the public ones.
    """

    kept: int = 1
    ca_file: Path | None = None


ONE_CONNECTION = Connections()


class _Shelf(queue.LifoQueue[Any]):
    """Kept connections, for which nobody waits: what is needed of the queue without its locks, which are dear."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002 (the library's signature)
        """What was put last. Raises queue.Empty at once."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        """Raises queue.Full at once."""
        if len(self.queue) >= self.maxsize:
            raise queue.Full
        self.queue.append(item)


class _PhasedHTTPPool(urllib3.HTTPConnectionPool):
    """A pool of connections that know their phase; a request on one of them is repeated and redirected by nobody."""

    ConnectionCls: Any = PhasedHTTPConnection
    QueueCls: Any = _Shelf

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], **_: Any
    ) -> Held:
        """Send one request and read its answer, if the gate lets it through. Raises what the connection raises."""
        connection: Any = self._get_conn()
        try:
            connection.request(method, url, body, headers)
            reply = None if current().refusal is not None else connection.getresponse()
        except BaseException:
            connection.close()
            raise
        return Held(reply, connection, self)

    def take_back(self, connection: Any) -> None:
        """Keep a connection for the next request."""
        self._put_conn(connection)


class _PhasedHTTPSPool(_PhasedHTTPPool, urllib3.HTTPSConnectionPool):
    ConnectionCls: Any = PhasedHTTPSConnection


@dataclass(frozen=True, slots=True)
class Held:
    """A reply, None where the gate refused, and the connection that it came on, which nobody else uses yet."""

    reply: Reply | None
    _connection: PhasedHTTPConnection
    _pool: _PhasedHTTPPool

    def keep(self) -> None:
        """The connection is good for another request."""
        self._pool.take_back(self._connection)

    def close(self) -> None:
        self._connection.close()


class _RawResponse(requests.Response):
    """The raw reply alone: cookies, encodings and links are of no use here, and dear to set up."""

    def __init__(self, raw: Held) -> None:
        self.raw = raw


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = trust.context(ca_file, "PROXSTOP_CA_FILE")
    context.sslsocket_class = PatientTLSSocket
    return context


class PhasedAdapter(HTTPAdapter):
    """A requests adapter for one host whose connections know their phase.

    Repeats nothing, and, used without a Session, knows no proxy, no .netrc and no variable of the environment.
    """

    def __init__(self, base_url: str, connections: Connections) -> None:
        """Raises ConfigurationError for a file of certificates that is of no use."""
        self._tls = _tls(connections.ca_file) if base_url.lower().startswith("https:") else None
        super().__init__(pool_connections=1, pool_maxsize=connections.kept, max_retries=0)
        self._pool: urllib3.HTTPConnectionPool = self.poolmanager.connection_from_url(base_url)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PhasedHTTPPool, "https": _PhasedHTTPSPool}

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        """The one pool there is: to look it up by address and TLS settings takes a sixth of a call's CPU time."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, _proxies: Any) -> str:
        """The path: there is no proxy to be asked for by the whole address."""
        return request.path_url

    def build_response(self, _request: requests.PreparedRequest, held: Any) -> requests.Response:
        return _RawResponse(held)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the TLS context verifies, and loading the certificates anew each time is slow."""

    def close(self) -> None:
        self._pool.close()
        super().close()
