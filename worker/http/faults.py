"""Why an HTTP request came to nothing, in one word of ours and in the library's words."""

from __future__ import annotations

import http.client
import socket
import ssl

from worker.errors import Cause
from worker.http.request import UnusableAddress

MAX_WORD_CHARACTERS = 120

FAULTS = (OSError, http.client.HTTPException, UnicodeError, UnusableAddress)
"""What network and server can bring about: no address, no connection, no time, no HTTP."""

_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Cause], ...] = (
    ((socket.gaierror, UnicodeError, UnusableAddress), Cause.NAME),
    (ssl.SSLError, Cause.TLS),
    (TimeoutError, Cause.TIMEOUT),
    (http.client.HTTPException, Cause.PROTOCOL),
    (OSError, Cause.CONNECT),
)


def cause(error: BaseException) -> Cause:
    """The cause that `error` tells of."""
    return next((cause for kinds, cause in _CAUSES if isinstance(error, kinds)), Cause.PROTOCOL)


def word(error: BaseException) -> str:
    """The error's name, and the system's or the TLS library's own words.

    Other words are left out, since they may quote what was sent or what came.
    """
    said = _said(error)
    return f"{type(error).__name__}: {said}"[:MAX_WORD_CHARACTERS] if said else type(error).__name__


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "").replace("_", " ").lower()
    return (error.strerror or "") if isinstance(error, OSError) else ""
