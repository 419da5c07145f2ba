"""One POST through requests, with its faults translated by the phase that the request had reached."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote_plus

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.errors import AccountProblem, CallError, ConfigurationError, Misconfigured, Redial, Refused, Retry
from worker.provider.connection import CertificateRefused, PhasedHTTPConnection, PhasedHTTPSConnection
from worker.provider.inbox import Reply
from worker.provider.phases import Exchange, Phase, current, under_way
from worker.provider.waiting import PatientTLSSocket

POOL_SIZE = 10_000
"""As many as the most CONCURRENCY allows. Each place costs some bytes until a connection is really kept there."""

Wanted = TypeVar("Wanted")

_WHEN = {
    Phase.STARTING: "before a connection was sought",
    Phase.RESOLVING: "while its name was resolved",
    Phase.CONNECTING: "while connecting",
    Phase.TLS: "in the TLS handshake",
    Phase.READY: "before the first byte was written",
    Phase.FIRST_BYTE: "while the request was written",
    Phase.WRITTEN: "before the answer's headers had come",
    Phase.STATUS_READ: "before the answer's body had come",
    Phase.BODY_READ: "after the answer had come",
}


class _PhasedHTTPPool(urllib3.HTTPConnectionPool):
    """A pool of connections that know their phase; a request on one of them is repeated and redirected by nobody."""

    ConnectionCls: Any = PhasedHTTPConnection

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


class PhasedAdapter(HTTPAdapter):
    """A requests adapter for one host whose connections know their phase.

    Repeats nothing, and, used without a Session, knows no proxy, no .netrc and no variable of the environment.
    """

    def __init__(self, base_url: str) -> None:
        # Made once: reading the certificates takes longer than a call.
        self._tls = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
        self._tls.sslsocket_class = PatientTLSSocket
        super().__init__(pool_connections=1, pool_maxsize=POOL_SIZE, max_retries=0)
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
        """The raw reply alone: its cookies, encodings and links are of no use here."""
        response = requests.Response()
        response.raw = held
        return response

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the TLS context verifies, and loading the certificates anew each time is slow."""

    def close(self) -> None:
        self._pool.close()
        super().close()


class Transport:
    """POSTs forms to one base address over kept connections; any number of threads and greenlets at once."""

    def __init__(self, base_url: str, accept: str) -> None:
        """`accept` is the Accept header. Raises ConfigurationError when `base_url` is not an address."""
        self._headers = {
            "User-Agent": "callworker",
            "Accept": accept,
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._base_url = base_url
        self._headers = {"Host": _authority(str(self.prepared("").url)), **self._headers}
        self._adapter = PhasedAdapter(base_url)

    def prepared(self, path: str) -> requests.PreparedRequest:
        """A request without a body, to be copied for each call: preparing one costs more than the copy."""
        try:
            return requests.Request("POST", self._base_url + path, headers=self._headers).prepare()
        except (requests.RequestException, ValueError):
            raise ConfigurationError("PROXSTOP_URL: is not an address that can be called") from None

    def post(
        self,
        template: requests.PreparedRequest,
        form: Mapping[str, str],
        exchange: Exchange,
        judge: Callable[[Reply], Wanted],
    ) -> Wanted:
        """Send `form`; what `judge` makes of the reply, which is read whole. The connection is kept if that ends well.

        A reply that the caller cannot use ends its connection: what is wrong with it (an interim answer taken for the
        final one, two answers to one request) may reach into the next job's answer.

        Raises what the gate raised; Retry (not sent), Misconfigured (certificate) or Redial. Their text and cause
        carry nothing of the request: the exceptions of requests hold its body, so that only a cause that is
        the operating system's or the TLS library's own is chained, without its frames.
        """
        held = self._send(self._filled(template, form), exchange)
        try:
            verdict = judge(cast(Reply, held.reply))
        except (Refused, AccountProblem):
            held.keep()
            raise
        except BaseException:
            held.close()
            raise
        held.keep()
        return verdict

    def _filled(
        self, template: requests.PreparedRequest, form: Mapping[str, str]
    ) -> requests.PreparedRequest:
        """The request with `form` as its body; requests' own copy takes ten times as long."""
        request = requests.PreparedRequest()
        request.method, request.url = template.method, template.url
        request.body = urlencoded(form)
        headers: Any = {**self._headers, "Content-Length": str(len(request.body))}
        request.headers = headers
        return request

    def _send(self, request: requests.PreparedRequest, exchange: Exchange) -> Held:
        outer = sys.exception()
        try:
            with under_way(exchange):
                held = cast(Held, self._adapter.send(request, stream=True).raw)
        except Exception as problem:
            error: Exception = _meaning(problem, _root(problem, outer), exchange)
        else:
            if exchange.refusal is None:
                return held
            held.keep()
            error = exchange.refusal
        # Out of the handler: an exception raised within it would hold the library's as its context.
        raise error

    def close(self) -> None:
        """Close the connections that are kept."""
        self._adapter.close()


def _authority(url: str) -> str:
    """Host, and port where it is not the scheme's own, as they stand in a request's Host header."""
    parts = urllib3.util.parse_url(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme or "")
    return (parts.host or "") if parts.port in (None, usual) else f"{parts.host}:{parts.port}"


def urlencoded(form: Mapping[str, str]) -> bytes:
    """As `urllib.parse.urlencode`, several times as fast where there is nothing to quote, as in nearly every field."""
    fields = [f"{name}={value if value.isalnum() and value.isascii() else quote_plus(value)}"
              for name, value in form.items()]  # fmt: skip
    return "&".join(fields).encode("ascii")


def _meaning(problem: Exception, root: BaseException, exchange: Exchange) -> CallError:
    error = _by_phase(problem, root, exchange)
    if isinstance(root, OSError) and not isinstance(root, requests.RequestException):
        error.__cause__ = root.with_traceback(None)
    return error


def _by_phase(problem: Exception, root: BaseException, exchange: Exchange) -> CallError:
    if isinstance(problem, CertificateRefused):
        return Misconfigured(f"the provider's certificate is refused: {problem}", sent=False)
    text = f"the provider was lost {_WHEN[exchange.phase]}: {type(root).__name__}"
    return Redial(text) if exchange.sent else Retry(text, sent=False)


def _root(problem: BaseException, outer: BaseException | None) -> BaseException:
    """Where `problem` began; `outer` is what the caller was handling already."""
    while (deeper := problem.__cause__ or problem.__context__) not in (None, outer):
        problem = deeper
    return problem
