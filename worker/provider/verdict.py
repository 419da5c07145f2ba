"""What one answer means for the job: the body decides first, the HTTP status only when the body says nothing.

Source: the table "Was the phone rung?" of the project's notes on the provider.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from worker.errors import CallError, Cause, Misconfigured, Redial, Retry
from worker.http.inbox import Reply
from worker.http.oddities import Oddity
from worker.http.retry_after import retry_after_seconds
from worker.provider import answer
from worker.provider.bodies import Garbled, NoDocument
from worker.provider.codes import CODE, Codes
from worker.provider.codings import decoded
from worker.provider.publishing import Cleaner

UNKNOWN_CODE = "UNKNOWN_ERROR"
"""Stands for a code that is not spelled as one; the message then begins with what came."""

MAX_RETRY_AFTER_SECONDS = 300.0

_BUSY = (429, 503)

Wanted = TypeVar("Wanted", str, int)


def judged(
    reply: Reply, take: Callable[[answer.Response], Wanted], codes: Codes, redactor: Callable[[], Cleaner]
) -> Wanted:
    """What `take` finds in the reply's `response`. Raises the CallError that fits any other reply.

    `redactor` knows what no word of the provider's may show that is published.
    """
    try:
        verdict: Wanted | CallError = _said(reply, take, codes, redactor)
    except Garbled as error:
        verdict = Redial(f"the answer cannot be read: {error}")
        verdict.cause = Cause.PROTOCOL
    except (NoDocument, answer.Neither):
        verdict = _by_status(reply)
    # Out of the handlers: the exceptions there have frames that hold the body, which may quote the request.
    if isinstance(verdict, CallError):
        raise verdict
    return verdict


def _said(
    reply: Reply, take: Callable[[answer.Response], Wanted], codes: Codes, redactor: Callable[[], Cleaner]
) -> Wanted | CallError:
    """What the body says. Raises NoDocument, Neither and Garbled."""
    note = reply.oddities.add
    found = answer.read(decoded(reply.body, reply.headers.get("Content-Encoding", ""), note), note)
    if isinstance(found, answer.ProviderFailure):
        return _refusal(found, reply, codes, redactor())
    taken = take(found)
    return _cleaned(taken, reply, redactor()) if isinstance(taken, str) else taken


def _cleaned(ref: str, reply: Reply, redactor: Cleaner) -> str:
    """A ref of no known shape may be long, any may quote the request. Raises Garbled where nothing is left of it."""
    if redactor.is_quoted_in(ref):
        reply.oddities.add(Oddity.REF)
    if Oddity.REF not in reply.oddities:
        return ref
    if not (clean := redactor.publishable(ref)):
        raise Garbled("it is a response without a readable ref")
    return clean


def _by_status(reply: Reply) -> CallError:
    """A reply without an answer in it.

    A 4xx most likely means that nothing was rung, but no page of the provider says so, and a proxy may have passed the
    request on before it failed: only 429, 503 and a redirect are taken as "not rung".
    """
    if reply.status in _BUSY:
        return Retry(
            f"the provider is busy: HTTP status {reply.status}",
            sent=True,
            retry_after_seconds=_wait_seconds(reply),
        )
    if 300 <= reply.status < 400:
        return Misconfigured(
            f"the provider redirects: HTTP status {reply.status}; check PROXSTOP_URL", sent=True
        )
    return Redial(f"neither an answer nor an error came: HTTP status {reply.status}")


def _wait_seconds(reply: Reply) -> float | None:
    return retry_after_seconds(reply.headers.get("Retry-After"), datetime.now(UTC), MAX_RETRY_AFTER_SECONDS)


def _refusal(failure: answer.ProviderFailure, reply: Reply, codes: Codes, redactor: Cleaner) -> CallError:
    wait_seconds = _wait_seconds(reply)
    # A code of the table is no secret, though its letters or digits may occur in one.
    code = codes.listed(failure.code)
    if not codes.lists(code):
        code = redactor.publishable(code, mask="X")
    if not CODE.fullmatch(code):
        text = redactor.publishable(f"{failure.code}: {failure.message}")
        return codes.error(UNKNOWN_CODE, text, wait_seconds)
    text = redactor.publishable(failure.message)
    return codes.error(code, text or "the provider gave no reason", wait_seconds)
