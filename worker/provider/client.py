"""The part of ProxStop's telephone verification API that the worker uses.

Source: docs/explanation/provider.md ("Placing a call", "Balance").
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Literal

from worker.core.jobs import Job
from worker.core.ports import Gate
from worker.errors import AccountProblem, CallError, Misconfigured, Redial, Refused, Retry
from worker.http.phases import Exchange
from worker.provider.answer import Response
from worker.provider.codes import Codes
from worker.provider.observers import NOBODY, CallResult, Observers
from worker.provider.publishing import Cleaner
from worker.provider.transport import ONE_CONNECTION, Connections, Transport
from worker.provider.verdict import judged

MAX_CONNECT_SECONDS = 5.0
_ACCEPT = {"json": "application/json", "xml": "application/xml, text/xml"}


_RESULTS: dict[type[CallError], CallResult] = {
    Refused: CallResult.REFUSED,
    AccountProblem: CallResult.ACCOUNT,
    Retry: CallResult.NOT_RUNG,
    Redial: CallResult.PERHAPS_RUNG,
    Misconfigured: CallResult.MISCONFIGURED,
}


class ProxStop:
    """The provider over HTTP, as `ports.Provider` wants it.

    One object serves any number of threads and greenlets; make it after a fork. Name resolution, connecting and TLS
    have min(5 s, timeout) together; everything after the gate has `timeout_seconds` together. Known weakness: if the
    server closes the connection at the moment of writing, the call counts as "perhaps rung".
    """

    def __init__(
        self,
        base_url: str,
        format: Literal["json", "xml"],
        timeout_seconds: float,
        *,
        codes: Codes,
        observers: Observers = NOBODY,
        extended: bool = False,
        connections: Connections = ONE_CONNECTION,
    ) -> None:
        """`extended` also sends `exttype`, which only the provider's older page has. Raises ConfigurationError."""
        self._transport = Transport(base_url, _ACCEPT[format], connections)
        self._call = self._transport.prepared(f"/telephonecall.{format}")
        self._balance = self._transport.prepared(f"/balance.{format}")
        self._timeout_seconds = timeout_seconds
        self._connect_seconds = min(MAX_CONNECT_SECONDS, timeout_seconds)
        self._codes = codes
        self._observers = observers
        self._extended = extended

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        """Place one call, and return the provider's ref.

        `gate` opens once, after the connection is made and before the first byte of the request. An error that it
        raises passes unchanged, and then nothing was sent. Raises Retry, Redial, Refused, AccountProblem and
        Misconfigured. Raises SlotLapsed, with nothing sent, when the moment that the gate gave has passed, or when a
        kept connection was lost at the gate and could not be replaced at once.
        """
        exchange = Exchange(self._connect_seconds, self._timeout_seconds, gate, is_call=True)
        began = monotonic()
        try:
            ref = self._place(job, api_key, exchange)
        except CallError as error:
            self._observers.attempted(job, exchange.seconds or monotonic() - began, exchange.status, error)
            if exchange.sent or isinstance(error, Misconfigured):
                self._observers.done(job, _RESULTS[type(error)], exchange.seconds, exchange.status)
            raise
        else:
            self._observers.done(job, CallResult.PLACED, exchange.seconds, exchange.status)
            self._observers.attempted(job, exchange.seconds, exchange.status, None)
            return ref
        finally:
            if exchange.oddities:
                self._observers.odd(job, exchange.oddities)

    def balance(self, api_key: str) -> int:
        """Ask for the points left on the account of `api_key`. Rings no phone and waits for no gate.

        The whole enquiry has `timeout_seconds`. Raises as `place_call` does, but for SlotLapsed.
        """
        judge = partial(
            judged, take=Response.balance, codes=self._codes, cleaner=partial(Cleaner.of, None, api_key)
        )
        exchange = Exchange(self._connect_seconds, self._timeout_seconds)
        return self._transport.post(self._balance, {"key": api_key}, exchange, judge)

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def _place(self, job: Job, api_key: str, exchange: Exchange) -> str:
        judge = partial(
            judged, take=Response.ref, codes=self._codes, cleaner=partial(Cleaner.of, job, api_key)
        )
        return self._transport.post(self._call, self._form(job, api_key), exchange, judge)

    def _form(self, job: Job, api_key: str) -> dict[str, str]:
        form = {"key": api_key, "country": job.country, "phone": job.phone, "code": job.code}
        optional = {
            "ext": job.ext,
            "exttype": job.exttype if self._extended else None,
            "message": job.message,
            "ref": job.ref,
        }
        return form | {name: value for name, value in optional.items() if value is not None}
