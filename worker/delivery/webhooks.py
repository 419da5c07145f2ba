"""One webhook: a signed POST of an event's exact bytes."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from worker import __version__
from worker.core.accounts import Endpoint
from worker.delivery.deadline import Deadline, bounded_session
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.schedule import ATTEMPT_SECONDS, CONNECT_SECONDS, MAX_RETRY_AFTER_SECONDS
from worker.delivery.signing import sign
from worker.errors import Cause
from worker.http import faults
from worker.http.retry_after import retry_after_seconds
from worker.network import trust

ANSWER_BYTES = 4096
"""Read of an answer, so that its connection can serve the next delivery; the content does not matter."""

NETWORK_ERRORS = (requests.RequestException, HTTPError, HTTPException, OSError, UnicodeError)


class WebhookSender:
    """Posts events to endpoints, over connections that are kept for the next one. For one thread only.

    Only a 2xx status is success, whatever its body; a redirect is a failure. Nothing of secret or body is
    logged. Source: Standard Webhooks 1.0.0, "Webhook headers", "Sending webhooks". Known weakness: see
    `bounded_session`.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._environ = environ
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._deadline = Deadline()
        self._sessions: dict[Path | None, requests.Session] = {}

    def send(self, endpoint: Endpoint, event_id: str, body: bytes, unix_seconds: int) -> Attempt:
        """POST `body` to the endpoint, signed with its secrets as of `unix_seconds`; how that ended.

        Raises ConfigurationError when a secret is not in the environment; nothing for network or endpoint.
        """
        signature = sign(endpoint.secrets(self._environ), event_id, unix_seconds, body)
        headers = _headers(event_id, unix_seconds, signature)
        started = time.monotonic()
        try:
            answer = self._post(endpoint, headers, body)
        except NETWORK_ERRORS as error:
            return _failed(error, time.monotonic() - started)
        status, wish = answer.status_code, _wish_seconds(answer, unix_seconds)
        return Attempt(_result(status), time.monotonic() - started, status, wish)

    def close(self) -> None:
        """Close the kept connections."""
        for session in self._sessions.values():
            session.close()

    def _session(self, ca_file: Path | None) -> requests.Session:
        if ca_file not in self._sessions:
            self._sessions[ca_file] = bounded_session(self._deadline, _tls(ca_file))
        return self._sessions[ca_file]

    def _post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> requests.Response:
        session = self._session(endpoint.ca_file)
        self._deadline.start(self._total_seconds)
        with session.post(
            endpoint.url,
            data=body,
            headers=headers,
            timeout=(self._connect_seconds, self._total_seconds),
            allow_redirects=False,
            stream=True,
        ) as answer:
            # The status has come and decides; a body that breaks off or drips changes nothing.
            with suppress(*NETWORK_ERRORS):
                answer.raw.read(ANSWER_BYTES, decode_content=False)
            return answer


@cache
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """One for all threads, kept while the program runs: reading the certificates takes long."""
    return trust.context(ca_file, "ca_file")


def _failed(problem: Exception, seconds: float) -> Attempt:
    began = faults.root(problem)
    cause = Cause.TIMEOUT if isinstance(problem, requests.Timeout | TimeoutError) else faults.cause(began)
    result = AttemptResult.TIMEOUT if cause is Cause.TIMEOUT else AttemptResult.UNREACHABLE
    return Attempt(result, seconds, cause=cause, problem=faults.word(began))


def _headers(event_id: str, unix_seconds: int, signature: str) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": f"callworker/{__version__}",
        "webhook-id": event_id,
        "webhook-timestamp": str(unix_seconds),
        "webhook-signature": signature,
    }


def _result(status: int) -> AttemptResult:
    if 200 <= status < 300:
        return AttemptResult.DELIVERED
    return AttemptResult.REDIRECTED if 300 <= status < 400 else AttemptResult.REFUSED


def _wish_seconds(answer: requests.Response, unix_seconds: int) -> float | None:
    """The wish in `Retry-After` of a 429 or 503; no other status speaks of when to come back."""
    if answer.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return None
    now = datetime.fromtimestamp(unix_seconds, UTC)
    return retry_after_seconds(answer.headers.get("retry-after"), now, MAX_RETRY_AFTER_SECONDS)
