"""Undoes content codings. The worker asks for none, and the header may be wrong, so the body itself decides."""

from __future__ import annotations

import zlib

from worker.http.oddities import Note, Oddity, unheard
from worker.http.phases import MAX_ANSWER_BYTES
from worker.provider.bodies import SPACE, Garbled

MAX_CODINGS = 3
"""Codings that are undone one after the other: a proxy may compress what the server has already compressed."""

_PADDING = SPACE + b"\0"
"""Bytes that may follow the compressed data: some servers fill up a block, or end a body with a line break."""

_GZIP_SIGNATURE = b"\x1f\x8b\x08"
_ZLIB_OR_GZIP, _RAW_DEFLATE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS
_READABLE = {"gzip", "x-gzip", "deflate"}
_DOCUMENT_SIGNS = (b"{", b"[", b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def decoded(body: bytes, content_encoding: str, note: Note = unheard) -> bytes:
    """Undo the content codings of `body`. A plain body stays as it is, whatever `content_encoding` says.

    `note` hears Oddity.CODING if the two do not agree. Raises Garbled for more than 64 KiB, for a compressed body that
    is cut short or damaged, and for an unknown coding.
    """
    if not content_encoding and body.startswith(_DOCUMENT_SIGNS):
        return body  # The usual case.
    named = {name.strip().lower() for name in content_encoding.split(",")} - {"", "identity"}
    plain = _plain(body, named)
    if not (not named if plain is body else named and named <= _READABLE):
        note(Oddity.CODING)
    if plain is body and body and named and not _may_be_document(body):
        raise Garbled("it is not in the content coding that it names")
    return plain


def _plain(body: bytes, named: set[str]) -> bytes:
    for _ in range(MAX_CODINGS):
        expected = bool(named & _READABLE)
        if not _is_compressed(body, expected) or (inner := _inflated(body, expected)) is None:
            break
        body, named = inner, set()
    return body


def _is_compressed(body: bytes, expected: bool) -> bool:
    """Tell whether the body may be compressed. Most answers are certainly plain."""
    return expected or not _may_be_document(body)


def _may_be_document(body: bytes) -> bool:
    return body.lstrip(SPACE).startswith(_DOCUMENT_SIGNS)


def _inflated(body: bytes, expected: bool) -> bytes | None:
    """Decompress `body` once. Returns None if it is not compressed; raises Garbled if it is and is damaged."""
    certain = body.startswith(_GZIP_SIGNATURE) or (expected and not _may_be_document(body))
    for window in (_ZLIB_OR_GZIP, _RAW_DEFLATE):
        try:
            plain = _members(body, window)
        except zlib.error:
            continue
        except Garbled:
            if certain:
                raise
            continue
        # Raw deflate has no signature and no checksum: almost any few bytes can be read as raw deflate.
        if expected or window != _RAW_DEFLATE or _may_be_document(plain):
            return plain
    return None


def _members(body: bytes, window: int) -> bytes:
    """Decompress all members; gzip allows several. Raises zlib.error and Garbled."""
    plain = b""
    while True:
        stream = zlib.decompressobj(window)
        plain += stream.decompress(body, MAX_ANSWER_BYTES + 1 - len(plain))
        if len(plain) > MAX_ANSWER_BYTES or not stream.eof:
            raise Garbled("it is cut short or too large once decoded")
        body = stream.unused_data
        if not body.strip(_PADDING):
            return plain
        if not body.startswith(_GZIP_SIGNATURE):
            raise Garbled("more data follows the compressed body")
