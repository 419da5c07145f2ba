"""The rules of a sign-up by phone, without any web framework: call, wait, check what was typed, call again.

A verification has an id, and each of its calls is a job of its own, `ID-1`, `ID-2` … The PIN follows from the job's id
and a key of this service, so it is stored nowhere, and a job that is sent again has the same PIN.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from callworker import Client, Event, Job

COOL_DOWN_SECONDS = 60
"""The pause between two calls to one number."""
MAX_CALLS, MAX_CALLS_SECONDS = 5, 86_400
"""The most calls to one number, and in which time."""
MAX_TRIES = 5
"""The PINs that may be typed for one call."""
VALID_SECONDS = 600
"""How long a PIN is valid after its job was sent."""


class Unknown(Exception):
    """There is no such verification."""


class Refused(Exception):
    """What was asked is not possible now. `code` is for programs, the text for people."""

    def __init__(self, code: str, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after = None if retry_after is None else int(retry_after) + 1
        """After how many seconds it may be asked again, if that helps."""


@dataclass
class Verification:
    """One person who proves to have one number."""

    id: str
    country: str
    phone: str
    call: int = 0
    """The number of the last call."""
    sent_at: float = 0.0
    """When the job of that call was sent, in Unix seconds."""
    tries: int = 0
    """The PINs that were typed for that call."""
    state: str = "calling"
    """calling, called, not_called or verified."""
    reason: str = ""
    """Why there was no call: the error code of the event."""

    @property
    def job_id(self) -> str:
        return f"{self.id}-{self.call}"


class Kept(Protocol):
    """What the store keeps, within a transaction. Nobody else may change it meanwhile: otherwise somebody could try
    many PINs, or have a number called many times, at the same moment."""

    def get(self, verification_id: str) -> Verification:
        """Raises Unknown."""

    def save(self, verification: Verification) -> None: ...

    def calls_to(self, country: str, phone: str, since: float) -> list[float]:
        """Return when calls to the number were sent, in Unix seconds, oldest first."""

    def note_call(self, verification: Verification) -> None: ...


class Store(Protocol):
    """Where verifications are kept: one for all processes, and it outlives them."""

    def transaction(self) -> AbstractContextManager[Kept]: ...


class Verifications:
    """The sign-up. `client` sends jobs for `account`; `key` is a secret of this service, from which PINs follow."""

    def __init__(
        self, client: Client, store: Store, account: str, key: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._client, self._store, self._account, self._key, self._clock = client, store, account, key, clock

    def start(self, country: str, phone: str) -> str:
        """Call a number for the first time. Returns the id of the verification.

        Raises Refused, callworker.InvalidJob if that is no number, and callworker.BrokerUnavailable.
        """
        verification = Verification(f"sign-up-{secrets.token_hex(8)}", country, phone)
        self._client.check(self._job(verification))
        with self._store.transaction() as kept:
            self._book(kept, verification)
        self._client.enqueue(self._job(verification))
        return verification.id

    def call_again(self, verification_id: str) -> None:
        """Call once more, with another PIN. Raises Refused, Unknown, and callworker.BrokerUnavailable."""
        with self._store.transaction() as kept:
            verification = kept.get(verification_id)
            before = verification.job_id
            if verification.state == "verified":
                raise Refused("VERIFIED", "the number is verified already")
            self._book(kept, verification)
        # If the job before still waits, its call would bring a PIN that is no longer valid.
        self._client.cancel(before)
        self._client.enqueue(self._job(verification))

    def check(self, verification_id: str, pin: str) -> bool:
        """Return whether this is the PIN of the last call. Raises Refused if it is too late, and Unknown."""
        with self._store.transaction() as kept:
            verification = kept.get(verification_id)
            if verification.state == "verified":
                return True
            if self._clock() > verification.sent_at + VALID_SECONDS:
                raise Refused("TOO_LATE", "the PIN is no longer valid: ask for another call")
            if verification.tries >= MAX_TRIES:
                raise Refused("TOO_MANY_TRIES", "too many wrong PINs: ask for another call")
            verification.tries += 1
            right = hmac.compare_digest(self.pin(verification.job_id).encode(), pin.strip().encode())
            if right:
                verification.state = "verified"
            kept.save(verification)
            return right

    def get(self, verification_id: str) -> Verification:
        """Return a verification. Raises Unknown."""
        with self._store.transaction() as kept:
            return kept.get(verification_id)

    def told(self, event: Event) -> None:
        """Learn what became of a call. Events come in any order and more than once, also those of other services."""
        verification_id = event.data.id.rpartition("-")[0]
        with self._store.transaction() as kept:
            try:
                verification = kept.get(verification_id)
            except Unknown:
                return
            if event.data.id != verification.job_id or verification.state != "calling":
                return
            # After `unknown` the phone may have rung, and the person may have the PIN.
            called = event.status in ("placed", "unknown")
            verification.state = "called" if called else "not_called"
            verification.reason = event.error.code if event.error and not called else ""
            kept.save(verification)

    def pin(self, job_id: str) -> str:
        """Return the PIN of a job: five digits that only this service can compute."""
        digest = hmac.digest(self._key, job_id.encode(), hashlib.sha256)
        return str(10_000 + int.from_bytes(digest, "big") % 90_000)

    def _job(self, verification: Verification) -> Job:
        job_id = verification.job_id
        return Job(self._account, verification.country, verification.phone, self.pin(job_id), id=job_id)

    def _book(self, kept: Kept, verification: Verification) -> None:
        """Begin the next call, if the number may be called now. Raises Refused."""
        now = self._clock()
        sent = kept.calls_to(verification.country, verification.phone, now - MAX_CALLS_SECONDS)
        if len(sent) >= MAX_CALLS:
            wait = sent[-MAX_CALLS] + MAX_CALLS_SECONDS - now
            raise Refused("TOO_MANY_CALLS", "this number was called too often", wait)
        if sent and now < sent[-1] + COOL_DOWN_SECONDS:
            raise Refused("TOO_SOON", "this number was called just now", sent[-1] + COOL_DOWN_SECONDS - now)
        verification.call += 1
        verification.sent_at, verification.tries = now, 0
        verification.state, verification.reason = "calling", ""
        kept.save(verification)
        kept.note_call(verification)
