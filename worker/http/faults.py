"""Why an HTTP request failed: as a `Cause`, and in the library's words."""

from __future__ import annotations

import http.client
import socket
import ssl

from worker.errors import Cause
from worker.http.request import UnusableAddress

MAX_WORD_CHARACTERS = 120

FAULTS = (OSError, http.client.HTTPException, UnicodeError, UnusableAddress)
"""The errors that network and server can cause: no address, no connection, no answer in time, an answer not in HTTP."""

_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Cause], ...] = (
    ((socket.gaierror, UnicodeError, UnusableAddress), Cause.NAME),
    (ssl.SSLError, Cause.TLS),
    (TimeoutError, Cause.TIMEOUT),
    (http.client.HTTPException, Cause.PROTOCOL),
    (OSError, Cause.CONNECT),
)


def cause(error: BaseException) -> Cause:
    """Return the cause of `error`."""
    return next((cause for kinds, cause in _CAUSES if isinstance(error, kinds)), Cause.PROTOCOL)


def word(error: BaseException) -> str:
    """Return the error's name, with the words of the operating system or the TLS library.

    Other words are left out, because they may quote the request or the answer.
    """
    said = _said(error)
    return f"{type(error).__name__}: {said}"[:MAX_WORD_CHARACTERS] if said else type(error).__name__


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "").replace("_", " ").lower()
    return (error.strerror or "") if isinstance(error, OSError) else ""
