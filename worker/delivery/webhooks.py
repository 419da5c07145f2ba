"""Sends one webhook: a signed POST of an event's exact bytes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from worker import __version__
from worker.core.endpoints import Endpoint
from worker.core.ports import Gate
from worker.delivery.excerpts import READ_BYTES
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.schedule import ATTEMPT_SECONDS, CONNECT_SECONDS, MAX_RETRY_AFTER_SECONDS
from worker.delivery.secrets import Secrets
from worker.delivery.signing import signatures
from worker.errors import Cause
from worker.http import faults
from worker.http.answer import Answer
from worker.http.client import Client, Idle
from worker.http.phases import Exchange
from worker.http.request import prepared, with_body
from worker.http.retry_after import retry_after_seconds
from worker.http.tunnel import ProxyFault
from worker.network import trust
from worker.network.guard import Guard, GuardRefused
from worker.network.proxy import Proxy

_SLOW = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""With these statuses an endpoint asks for fewer requests. Source: Standard Webhooks 1.0.0, "Status codes"."""

MAX_KEPT = 256
"""The most connections that are kept, to all servers together: those that were used last."""


_template = cache(partial(prepared, headers={}))
"""A request to an address, without its body: preparing it takes as long as all that is done for one event."""


class WebhookSender:
    """Posts events to endpoints. Any number of greenlets of one thread may use it at once.

    Connections are kept for the next event to the same server. Only a 2xx status is success, with any body; a redirect
    is a failure. Neither secret nor body is logged. Source: Standard Webhooks 1.0.0, "Webhook headers", "Sending
    webhooks". Known weakness: the first delivery to an endpoint with its own `ca_file` reads it in the thread of all
    deliveries.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = ATTEMPT_SECONDS,
        proxy: str | None = None,
        contact: str | None = None,
    ) -> None:
        """`total_seconds` is the time of one attempt, from name resolution to the end of the answer; `connect_seconds`
        is the part of it for connecting. `proxy` and `contact` are settings.
        """
        self._proxy = None if proxy is None else Proxy.of(proxy)
        self._agent = f"callworker/{__version__}" + (f" ({contact})" if contact else "")
        self._secrets = secrets
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._idle = Idle(MAX_KEPT)
        self._clients: dict[tuple[str, str, Path | None, Guard | None], Client] = {}

    def send(
        self,
        endpoint: Endpoint,
        event_id: str,
        body: bytes,
        unix_seconds: int,
        *,
        sequence: int | None = None,
        gate: Gate | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Attempt:
        """POST `body` to the endpoint, signed with its secrets as of `unix_seconds`. Returns how that ended.

        See Sender. Raises ConfigurationError if no secret, or not the endpoint's `ca_file`, can be used; SlotLapsed and
        what `gate` raises; and nothing for network or endpoint.
        """
        signature = signatures(self._secrets.of(endpoint, unix_seconds), event_id, unix_seconds, body)
        own = {"user-agent": self._agent, **_headers(event_id, unix_seconds, signature, sequence)}
        exchange = Exchange(
            self._connect_seconds, self._total_seconds, gate, guard=Guard.of(endpoint), proxy=self._proxy
        )
        try:
            answer = self._post(endpoint, {**(headers or {}), **own}, body, exchange)
        except GuardRefused as refused:
            return Attempt(AttemptResult.GUARDED, exchange.seconds, rule=refused.rule)
        except ProxyFault as fault:
            return Attempt(AttemptResult.PROXY, exchange.seconds, problem=fault.problem)
        except faults.FAULTS as error:
            return _failed(error, exchange.seconds)
        return _answered(answer, exchange.seconds, unix_seconds)

    def close(self) -> None:
        """Close the kept connections."""
        for client in self._clients.values():
            client.close()

    def _post(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, exchange: Exchange
    ) -> Answer:
        request = with_body(_template(endpoint.url), body, headers)
        client = self._client(str(request.url), endpoint.ca_file, exchange.guard)
        opened = client.send(request, exchange)
        # The status decides. A body that is cut short or comes slowly changes nothing.
        with suppress(*faults.FAULTS):
            opened.whole()
        opened.release()
        return opened.answer

    def _client(self, url: str, ca_file: Path | None, guard: Guard | None) -> Client:
        """Return the client of a server under `guard`. There are as many as the accounts file has such servers."""
        server = (*urlsplit(url)[:2], ca_file, guard)
        client = self._clients.get(server)
        if client is None:
            client = Client(url, kept=MAX_KEPT, tls=partial(_tls, ca_file), idle=self._idle)
            self._clients[server] = client
        return client


@cache
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the trusted certificates, read once while the program runs, because reading them takes long."""
    return trust.context(ca_file, "ca_file")


def _failed(problem: Exception, seconds: float) -> Attempt:
    cause = faults.cause(problem)
    result = AttemptResult.TIMEOUT if cause is Cause.TIMEOUT else AttemptResult.UNREACHABLE
    return Attempt(result, seconds, cause=cause, problem=faults.word(problem))


def _answered(answer: Answer, seconds: float, unix_seconds: int) -> Attempt:
    told = answer.headers.get("webhook-delivery", "").strip().lower()
    return Attempt(
        _result(answer.status),
        seconds,
        answer.status,
        _wish_seconds(answer, unix_seconds),
        body=_shown(answer),
        disable=answer.status == HTTPStatus.GONE or told == "disable",
        slow=answer.status in _SLOW,
    )


def _shown(answer: Answer) -> bytes:
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    return answer.beginning(READ_BYTES) if coding == "identity" else b""


def _headers(event_id: str, unix_seconds: int, signature: str, sequence: int | None) -> dict[str, str]:
    headers = {
        "accept-encoding": "identity",
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(unix_seconds),
        "webhook-signature": signature,
    }
    return headers if sequence is None else headers | {"callworker-sequence": str(sequence)}


def _result(status: int) -> AttemptResult:
    if 200 <= status < 300:
        return AttemptResult.DELIVERED
    return AttemptResult.REDIRECTED if 300 <= status < 400 else AttemptResult.REFUSED


def _wish_seconds(answer: Answer, unix_seconds: int) -> float | None:
    """Return the wait that a 429 or 503 asks for in `Retry-After`. Other statuses cannot ask for one."""
    if answer.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    now = datetime.fromtimestamp(unix_seconds, UTC)
    return retry_after_seconds(answer.headers.get("retry-after"), now, MAX_RETRY_AFTER_SECONDS)
