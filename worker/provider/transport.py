"""One POST through requests, with its faults translated by the phase that the request had reached."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import quote_plus

import requests
import urllib3

from worker.errors import (
    AccountProblem,
    CallError,
    Cause,
    ConfigurationError,
    Misconfigured,
    Redial,
    Refused,
    Retry,
)
from worker.http import faults
from worker.http.adapter import Connections, Held, PhasedAdapter
from worker.http.connection import CertificateRefused
from worker.http.inbox import Reply
from worker.http.phases import Exchange, Phase, under_way

Wanted = TypeVar("Wanted")

_UNBOUNDED: Any = urllib3.Timeout()
"""The exchange has bounds of its own; requests would make one of these for each request."""

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


class Transport:
    """POSTs forms to one base address over kept connections; any number of threads and greenlets at once."""

    def __init__(self, base_url: str, accept: str, connections: Connections) -> None:
        """`accept` is the Accept header. Raises ConfigurationError when `base_url` is not an address, or the file of
        certificates is of no use.
        """
        self._keeps = connections.kept > 0
        self._headers = {
            "User-Agent": "callworker",
            "Accept": accept,
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        } | ({} if self._keeps else {"Connection": "close"})
        self._base_url = base_url
        self._headers = {"Host": _authority(str(self.prepared("").url)), **self._headers}
        self._adapter = PhasedAdapter(base_url, connections)

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

        A reply that the caller cannot use, or that was odd, ends its connection: what is wrong with it may reach into
        the next job's answer. Known weakness: a second answer that comes after the next request was written is taken
        for that one's, unless no connections are kept.

        Raises what the gate raised; Retry (not sent), Misconfigured (certificate) or Redial. Their text and cause
        carry nothing of the request: the exceptions of requests hold its body, so that only a cause that is
        the operating system's or the TLS library's own is chained, without its frames.
        """
        held = self._send(self._filled(template, form), exchange)
        try:
            verdict = judge(cast(Reply, held.reply))
        except (Refused, AccountProblem):
            self._done_with(held, exchange)
            raise
        except BaseException:
            held.close()
            raise
        self._done_with(held, exchange)
        return verdict

    def _done_with(self, held: Held, exchange: Exchange) -> None:
        if exchange.oddities or not self._keeps:
            held.close()
        else:
            held.keep()

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
                held = cast(Held, self._adapter.send(request, stream=True, timeout=_UNBOUNDED).raw)
        except Exception as problem:
            error: Exception = _meaning(problem, faults.root(problem, outer), exchange)
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
    cause = _cause(problem, root, exchange)
    error = _by_phase(problem, root, exchange, cause)
    error.cause = cause
    if isinstance(root, OSError) and not isinstance(root, requests.RequestException):
        error.__cause__ = root.with_traceback(None)
    return error


def _by_phase(problem: Exception, root: BaseException, exchange: Exchange, cause: Cause) -> CallError:
    if isinstance(problem, CertificateRefused):
        return Misconfigured(f"the provider's certificate is refused: {cause}, {problem}", sent=False)
    text = f"the provider was lost {_WHEN[exchange.phase]}: {cause}, {faults.word(root)}"
    return Redial(text) if exchange.sent else Retry(text, sent=False)


def _cause(problem: Exception, root: BaseException, exchange: Exchange) -> Cause:
    """A handshake that the server breaks off ends as a lost connection does."""
    found = faults.cause(root)
    in_handshake = exchange.phase is Phase.TLS and found is Cause.CONNECT
    return Cause.TLS if in_handshake or isinstance(problem, CertificateRefused) else found
