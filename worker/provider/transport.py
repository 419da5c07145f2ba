"""One POST through requests, with its faults translated by the phase that the request had reached."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.errors import AccountProblem, CallError, ConfigurationError, Misconfigured, Redial, Refused, Retry
from worker.provider.connection import CertificateRefused, PhasedHTTPConnection, PhasedHTTPSConnection
from worker.provider.phases import Exchange, Phase, under_way
from worker.provider.verdict import Reply
from worker.provider.waiting import PatientTLSSocket

POOL_SIZE = 10_000
"""As many as the most CONCURRENCY allows. Each place costs some bytes until a connection is really kept there."""

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
    ConnectionCls = PhasedHTTPConnection


class _PhasedHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = PhasedHTTPSConnection


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

    def build_response(self, _request: requests.PreparedRequest, answer: Any) -> requests.Response:
        """The raw answer alone: cookies, encodings and links of the provider's are of no use here."""
        response = requests.Response()
        response.raw = answer
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

    @contextmanager
    def post(
        self, template: requests.PreparedRequest, form: Mapping[str, str], exchange: Exchange
    ) -> Iterator[Reply]:
        """Send `form`; the reply is read whole, and the connection kept, if the caller's block ends well.

        A reply that the caller cannot use ends its connection: what is wrong with it (an interim answer taken for the
        final one, two answers to one request) may reach into the next job's answer.

        Raises what the gate raised; Retry (not sent), Misconfigured (certificate) or Redial. Their text and cause
        carry nothing of the request: the exceptions of requests hold its body, so that only a cause that is
        the operating system's or the TLS library's own is chained, without its frames.
        """
        request = template.copy()
        request.body = urlencode(form).encode("ascii")
        request.headers["Content-Length"] = str(len(request.body))
        response = self._send(request, exchange)
        try:
            yield Reply(response.status, response.headers, response.data or b"")
        except (Refused, AccountProblem):
            raise
        except BaseException:
            _close(response)
            raise
        finally:
            response.release_conn()

    def _send(self, request: requests.PreparedRequest, exchange: Exchange) -> urllib3.HTTPResponse:
        outer = sys.exception()
        try:
            with under_way(exchange):
                response: urllib3.HTTPResponse = self._adapter.send(request, stream=True).raw
        except Exception as problem:
            error: Exception = _meaning(problem, _root(problem, outer), exchange)
        else:
            if exchange.refusal is None:
                return response
            response.release_conn()
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


def _close(response: urllib3.HTTPResponse) -> None:
    if response.connection is not None:
        response.connection.close()


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
