"""One POST to the provider, with its faults translated by the phase that the request had reached."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_plus

import requests

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
from worker.http.answer import Reply
from worker.http.client import Client, OpenAnswer
from worker.http.phases import Exchange, Phase
from worker.http.request import UnusableAddress, prepared, with_body
from worker.network import trust

Wanted = TypeVar("Wanted")

_WHEN = {
    Phase.STARTING: "before it was connected to",
    Phase.RESOLVING: "while its name was resolved",
    Phase.CONNECTING: "while connecting",
    Phase.TLS: "in the TLS handshake",
    Phase.READY: "before the first byte was written",
    Phase.FIRST_BYTE: "while the request was written",
    Phase.WRITTEN: "before the answer's headers had come",
    Phase.STATUS_READ: "before the answer's body had come",
    Phase.BODY_READ: "after the answer had come",
}


@dataclass(frozen=True, slots=True)
class Connections:
    """`kept`: the most that are kept between requests; 0 gives each request a connection of its own.

    `ca_file`: certificates that are trusted beside the public ones.
    """

    kept: int = 1
    ca_file: Path | None = None


ONE_CONNECTION = Connections()


class Transport:
    """POSTs forms to one base address over kept connections; any number of threads and greenlets use it at once."""

    def __init__(self, base_url: str, accept: str, connections: Connections) -> None:
        """`accept` is the Accept header. Raises ConfigurationError when `base_url` is not an address, or the file of
        certificates is of no use.
        """
        self._headers = {
            "User-Agent": "callworker",
            "Accept": accept,
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        } | ({} if connections.kept else {"Connection": "close"})
        self._base_url = base_url
        tls = partial(trust.context, connections.ca_file, "PROXSTOP_CA_FILE")
        self._client = Client(str(self.prepared("").url), kept=connections.kept, tls=tls)

    def prepared(self, path: str) -> requests.PreparedRequest:
        """A request without a body, to be copied for each call: preparing one costs more than the copy."""
        try:
            return prepared(self._base_url + path, self._headers)
        except UnusableAddress as error:
            raise ConfigurationError(f"PROXSTOP_URL: {error}") from None

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

        Raises what the gate raised; SlotLapsed; Retry (not sent), Misconfigured (certificate) or Redial. The text and
        the cause of these three carry nothing of the request: only a cause that is the operating system's or the TLS
        library's own is chained, without its frames.
        """
        opened, reply = self._sent(with_body(template, urlencoded(form)), exchange)
        try:
            verdict = judge(reply)
        except (Refused, AccountProblem):
            opened.release()
            raise
        except BaseException:
            opened.close()
            raise
        opened.release()
        return verdict

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def _sent(self, request: requests.PreparedRequest, exchange: Exchange) -> tuple[OpenAnswer, Reply]:
        try:
            opened = self._client.send(request, exchange)
            return opened, opened.whole()
        except Exception as error:
            if error is exchange.refusal:
                raise
            translated = _meaning(error, exchange)
        # Out of the handler: an exception raised within it would hold the library's as its context.
        raise translated


def urlencoded(form: Mapping[str, str]) -> bytes:
    """As `urllib.parse.urlencode`, several times as fast where there is nothing to quote, as in nearly every field."""
    fields = [f"{name}={value if value.isalnum() and value.isascii() else quote_plus(value)}"
              for name, value in form.items()]  # fmt: skip
    return "&".join(fields).encode("ascii")


def _meaning(problem: Exception, exchange: Exchange) -> CallError:
    cause = _cause(problem, exchange)
    error = _by_phase(problem, exchange, cause)
    error.cause = cause
    if isinstance(problem, OSError):
        problem.__context__ = None
        error.__cause__ = problem.with_traceback(None)
    return error


def _by_phase(problem: Exception, exchange: Exchange, cause: Cause) -> CallError:
    if isinstance(problem, ssl.SSLCertVerificationError):
        text = f"the provider's certificate is refused: {cause}, {problem.verify_message}"
        return Misconfigured(text, sent=False)
    text = f"the provider was lost {_WHEN[exchange.phase]}: {cause}, {faults.word(problem)}"
    return Redial(text) if exchange.sent else Retry(text, sent=False)


def _cause(problem: Exception, exchange: Exchange) -> Cause:
    """A handshake that the server breaks off ends as a lost connection does."""
    found = faults.cause(problem)
    return Cause.TLS if exchange.phase is Phase.TLS and found is Cause.CONNECT else found
