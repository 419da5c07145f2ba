"""Why an HTTP request came to nothing, in a word of ours and in the library's, for whoever has to find the fault."""

from __future__ import annotations

import http.client
import socket
import ssl

import requests
from urllib3.exceptions import LocationValueError

from worker.errors import Cause

MAX_WORD_CHARACTERS = 120

_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Cause], ...] = (
    ((socket.gaierror, UnicodeError, LocationValueError, requests.exceptions.InvalidURL), Cause.NAME),
    (ssl.SSLError, Cause.TLS),
    (TimeoutError, Cause.TIMEOUT),
    (http.client.HTTPException, Cause.PROTOCOL),
    (OSError, Cause.CONNECT),
)


def root(problem: BaseException, outer: BaseException | None = None) -> BaseException:
    """Where `problem` began; `outer` is what the caller was handling already."""
    while (deeper := problem.__cause__ or problem.__context__) not in (None, outer):
        problem = deeper
    return problem


def cause(began: BaseException) -> Cause:
    """The cause of what began as `began`."""
    return next((cause for kinds, cause in _CAUSES if isinstance(began, kinds)), Cause.PROTOCOL)


def word(began: BaseException) -> str:
    """What the library said: its error's name, and the system's or the TLS library's own words.

    Other words are left out, since they may quote what was sent or what came.
    """
    said = _said(began)
    return f"{type(began).__name__}: {said}"[:MAX_WORD_CHARACTERS] if said else type(began).__name__


def _said(began: BaseException) -> str:
    if isinstance(began, ssl.SSLCertVerificationError):
        return began.verify_message
    if isinstance(began, ssl.SSLError):
        return (began.reason or "").replace("_", " ").lower()
    return (began.strerror or "") if isinstance(began, OSError) else ""
