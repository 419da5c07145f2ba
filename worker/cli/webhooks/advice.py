"""Says in a sentence what an attempt at an endpoint means, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from worker.delivery.ports import Attempt, AttemptResult
from worker.errors import Cause
from worker.network.guard import Rule

_BY_STATUS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "the receiver does not understand the event: it must take any `type`, and JSON in UTF-8",
    HTTPStatus.UNAUTHORIZED: "the receiver refuses the signature: compare its secret with `callworker webhooks "
    "secrets`, its clock with a time server, and let it verify the bytes of the body before it parses them",
    HTTPStatus.FORBIDDEN: "the receiver, or a firewall before it, refuses the request: compare its secret with "
    "`callworker webhooks secrets`, and let requests from this network pass",
    HTTPStatus.NOT_FOUND: "nothing is at that path: correct the url in the accounts file",
    HTTPStatus.METHOD_NOT_ALLOWED: "the receiver must accept POST at that path: correct the url, or the receiver",
    HTTPStatus.GONE: "the receiver wants no more events: such an answer to a delivery disables the endpoint",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the receiver must accept bodies of at least 64 KiB",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the receiver must accept content-type application/json",
    HTTPStatus.SERVICE_UNAVAILABLE: "the receiver is overloaded or being maintained: see its log, and set a `rate` for "
    "the endpoint if deliveries are what is too much for it",
    HTTPStatus.TOO_MANY_REQUESTS: "the receiver asks for fewer requests: set a `rate` for the endpoint",
}
_FAULT = "the receiver failed: look for the event's id in its log"
_OTHER = "only 2xx counts as taken: let the receiver answer 204 once the event is stored"
_BY_CAUSE = {
    Cause.NAME: "the host's name has no address: correct the url, or the name resolution of this machine",
    Cause.CONNECT: "there is no connection, or it is lost: start the receiver, or open its firewall for requests from "
    "here",
    Cause.TLS: "the encrypted connection fails: correct the receiver's certificate and its chain, or name a private "
    "authority as the endpoint's `ca_file`",
    Cause.TIMEOUT: "no whole answer came in time: store the event, answer 2xx, and do slow work after the answer",
    Cause.PROTOCOL: "the answer is not HTTP, or is cut short: look at the receiver, or at a proxy before it",
}
_BY_RESULT = {
    AttemptResult.DELIVERED: "",
    AttemptResult.REDIRECTED: "redirects are not followed: write the address to which it leads into the accounts file",
    AttemptResult.PROXY: "the proxy of webhooks failed or refused, which says nothing about the receiver: see the "
    "proxy's log",
}


def advice(attempt: Attempt) -> str:
    """What to do after an attempt; empty if the endpoint took the event."""
    if attempt.result in _BY_RESULT:
        return _BY_RESULT[attempt.result]
    if attempt.rule is not None:
        return f"the guard's rule `{attempt.rule}` refuses the address: {Rule(attempt.rule).remedy}"
    if attempt.status is None:
        return _BY_CAUSE[attempt.cause or Cause.PROTOCOL]
    usual = _FAULT if attempt.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _OTHER
    return _BY_STATUS.get(attempt.status, usual)
