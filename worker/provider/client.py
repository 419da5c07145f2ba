"""ProxStop's telephone verification API, as far as the worker uses it.

Source: the project's notes on the provider ("Placing a call", "Balance").
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from functools import partial
from typing import Literal, Protocol

from worker.core.jobs import Job
from worker.core.ports import Gate
from worker.errors import AccountProblem, CallError, Misconfigured, Redial, Refused, Retry
from worker.http.adapter import ONE_CONNECTION, Connections
from worker.http.oddities import Oddity
from worker.http.phases import Exchange
from worker.provider.answer import Response
from worker.provider.codes import Codes
from worker.provider.publishing import Cleaner
from worker.provider.transport import Transport
from worker.provider.verdict import judged

MAX_CONNECT_SECONDS = 5.0
_ACCEPT = {"json": "application/json", "xml": "application/xml, text/xml"}


class CallResult(StrEnum):
    """How one request ended that reached the network, or that this installation's fault kept from it."""

    PLACED = "placed"
    REFUSED = "refused"
    ACCOUNT = "account"
    NOT_RUNG = "not_rung"
    PERHAPS_RUNG = "perhaps_rung"
    MISCONFIGURED = "misconfigured"


_RESULTS: dict[type[CallError], CallResult] = {
    Refused: CallResult.REFUSED,
    AccountProblem: CallResult.ACCOUNT,
    Retry: CallResult.NOT_RUNG,
    Redial: CallResult.PERHAPS_RUNG,
    Misconfigured: CallResult.MISCONFIGURED,
}


class Observe(Protocol):
    """Hears of each such request once: the job's account, how it ended, how long it took.

    `seconds` counts from the gate's opening. Must not raise.
    """

    def __call__(self, account: str, result: CallResult, seconds: float) -> None: ...


class Remark(Protocol):
    """Hears of each answer that was odd in some way, once. Must not raise."""

    def __call__(self, job: Job, oddities: Collection[Oddity]) -> None: ...


def _unremarked(job: Job, oddities: Collection[Oddity]) -> None:
    """For those who do not need to know."""


class ProxStop:
    """The provider over HTTP: `ports.Provider`. One object serves any number of threads and greenlets,
    and is made after a fork.

    Resolving, connecting and TLS have min(5 s, timeout) together; all that follows the gate has `timeout_seconds`
    together. Known weakness: a connection that the server closes in the instant of writing counts as "perhaps rung".
    """

    def __init__(
        self,
        base_url: str,
        format: Literal["json", "xml"],
        timeout_seconds: float,
        *,
        codes: Codes,
        observe: Observe,
        remark: Remark = _unremarked,
        extended: bool = False,
        connections: Connections = ONE_CONNECTION,
    ) -> None:
        """`extended` sends `exttype` too, which only the provider's older page knows. Raises ConfigurationError."""
        self._transport = Transport(base_url, _ACCEPT[format], connections)
        self._call = self._transport.prepared(f"/telephonecall.{format}")
        self._balance = self._transport.prepared(f"/balance.{format}")
        self._timeout_seconds = timeout_seconds
        self._codes = codes
        self._observe, self._remark = observe, remark
        self._extended = extended

    def place_call(self, job: Job, api_key: str, gate: Gate) -> str:
        """Ask for one call; the provider's ref.

        `gate` opens once, when the connection stands and before the request's first byte; what it raises is raised
        as it is, and then nothing was sent. Raises Retry, Redial, Refused, AccountProblem, Misconfigured; and
        SlotLapsed, nothing sent, when the moment that the gate gave has passed, or a kept connection was lost at the
        gate and could not be replaced at once.
        """
        exchange = self._exchange(gate)
        try:
            ref = self._place(job, api_key, exchange)
        except CallError as error:
            if exchange.sent or isinstance(error, Misconfigured):
                self._observe(job.account, _RESULTS[type(error)], exchange.seconds)
            raise
        else:
            self._observe(job.account, CallResult.PLACED, exchange.seconds)
            return ref
        finally:
            if exchange.oddities:
                self._remark(job, exchange.oddities)

    def balance(self, api_key: str) -> int:
        """The points left on the account of `api_key`. Rings nobody. Raises as `place_call` does."""
        judge = partial(
            judged, take=Response.balance, codes=self._codes, redactor=partial(Cleaner.of, None, api_key)
        )
        return self._transport.post(self._balance, {"key": api_key}, self._exchange(_OpenGate()), judge)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._transport.close()

    def _place(self, job: Job, api_key: str, exchange: Exchange) -> str:
        judge = partial(
            judged, take=Response.ref, codes=self._codes, redactor=partial(Cleaner.of, job, api_key)
        )
        return self._transport.post(self._call, self._form(job, api_key), exchange, judge)

    def _exchange(self, gate: Gate) -> Exchange:
        connect_seconds = min(MAX_CONNECT_SECONDS, self._timeout_seconds)
        return Exchange(gate, connect_seconds=connect_seconds, answer_seconds=self._timeout_seconds)

    def _form(self, job: Job, api_key: str) -> dict[str, str]:
        form = {"key": api_key, "country": job.country, "phone": job.phone, "code": job.code}
        optional = {
            "ext": job.ext,
            "exttype": job.exttype if self._extended else None,
            "message": job.message,
            "ref": job.ref,
        }
        return form | {name: value for name, value in optional.items() if value is not None}


class _OpenGate:
    """Balance enquiries ring nobody and wait for no slot."""

    def connecting(self) -> None:
        return

    def opens(self) -> None:
        return
