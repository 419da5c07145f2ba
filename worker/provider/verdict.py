"""Decides what one answer means for the job: first by the body, by the HTTP status only if the body says nothing.

Source: the table "Was the phone rung?" of docs/explanation/provider.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from worker.errors import CallError, Cause, Misconfigured, Redial, Retry
from worker.http.answer import Reply
from worker.http.oddities import Oddity
from worker.http.retry_after import retry_after_seconds
from worker.provider import answer
from worker.provider.bodies import Garbled, NoDocument
from worker.provider.codes import CODE, Codes
from worker.provider.codings import decoded
from worker.provider.publishing import Cleaner

UNKNOWN_CODE = "UNKNOWN_ERROR"
"""The code in place of one that is not spelled as a code. The message then begins with the text that came."""

MAX_RETRY_AFTER_SECONDS = 300.0

_BUSY = (429, 503)

Wanted = TypeVar("Wanted", str, int)


def judged(
    reply: Reply, take: Callable[[answer.Response], Wanted], codes: Codes, cleaner: Callable[[], Cleaner]
) -> Wanted:
    """Return what `take` finds in the reply's `response`, or raise the CallError that fits.

    `cleaner` makes the Cleaner that takes secrets out of the provider's texts before they are published.
    """
    try:
        verdict: Wanted | CallError = _said(reply, take, codes, cleaner)
    except Garbled as error:
        verdict = Redial(f"the answer cannot be read: {error}")
        verdict.cause = Cause.PROTOCOL
    except (NoDocument, answer.Neither):
        verdict = _by_status(reply)
    # Raised outside the handlers: the exceptions there have frames that hold the body, which may quote the request.
    if isinstance(verdict, CallError):
        raise verdict
    return verdict


def _said(
    reply: Reply, take: Callable[[answer.Response], Wanted], codes: Codes, cleaner: Callable[[], Cleaner]
) -> Wanted | CallError:
    """Read the body. Raises NoDocument, Neither and Garbled."""
    note = reply.oddities.add
    found = answer.read(decoded(reply.body, reply.headers.get("Content-Encoding", ""), note), note)
    if isinstance(found, answer.ProviderFailure):
        return _refusal(found, reply, codes, cleaner())
    taken = take(found)
    return _cleaned(taken, reply, cleaner()) if isinstance(taken, str) else taken


def _cleaned(ref: str, reply: Reply, cleaner: Cleaner) -> str:
    """Clean a ref that has no known shape or quotes the request. Raises Garbled if nothing is left of it."""
    if cleaner.is_quoted_in(ref):
        reply.oddities.add(Oddity.REF)
    if Oddity.REF not in reply.oddities:
        return ref
    if not (clean := cleaner.publishable(ref)):
        raise Garbled("it is a response without a readable ref")
    return clean


def _by_status(reply: Reply) -> CallError:
    """The error for a reply without an answer in it.

    A 4xx most likely means that no phone was rung, but no page of the provider says so, and a proxy may have passed the
    request on before it failed. So only 429, 503 and a redirect count as "not rung".
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
    return Redial(f"the body holds neither an answer nor an error: HTTP status {reply.status}")


def _wait_seconds(reply: Reply) -> float | None:
    return retry_after_seconds(reply.headers.get("Retry-After"), datetime.now(UTC), MAX_RETRY_AFTER_SECONDS)


def _refusal(failure: answer.ProviderFailure, reply: Reply, codes: Codes, cleaner: Cleaner) -> CallError:
    wait_seconds = _wait_seconds(reply)
    # A code of the table is not a secret, even if its letters or digits occur in one.
    code = codes.listed(failure.code)
    if not codes.lists(code):
        code = cleaner.publishable(code, mask="X")
    if not CODE.fullmatch(code):
        text = cleaner.publishable(f"{failure.code}: {failure.message}")
        return codes.error(UNKNOWN_CODE, text, wait_seconds)
    text = cleaner.publishable(failure.message)
    return codes.error(code, text or "the provider gave no reason", wait_seconds)
