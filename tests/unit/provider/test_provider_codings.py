"""Content codings of an answer, whether its head names them or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.provider.reading import REF
from worker.http.oddities import Oddity
from worker.http.phases import MAX_ANSWER_BYTES
from worker.provider.bodies import Garbled
from worker.provider.codings import decoded

# Bytes that begin as gzip does are taken for it, once more.
UNCODED = st.binary(max_size=2000).filter(lambda body: not body.startswith(b"\x1f\x8b"))


@given(UNCODED, st.sampled_from(["gzip", "x-gzip", "deflate", "raw"]))
def test_content_codings_are_undone(body: bytes, coding: str) -> None:
    """A compressed body is restored, in either meaning of deflate."""
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15, "raw": -15}[coding]
    assert decoded(zlib.compress(body, wbits=bits), coding.replace("raw", "deflate")) == body


@given(
    st.binary(max_size=300),
    st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\ud800", "identity", "none", ""]),
)
def test_any_coded_bytes_are_decoded_or_refused(body: bytes, coding: str) -> None:
    """No bytes break the decoder."""
    try:
        assert len(decoded(body, coding)) <= MAX_ANSWER_BYTES
    except Garbled as error:
        assert error.__cause__ is None


@pytest.mark.parametrize("size", [MAX_ANSWER_BYTES + 1, 50_000_000])
def test_body_too_large_once_decoded_is_refused(size: int) -> None:
    """A few KiB that would become many are refused."""
    with pytest.raises(Garbled):
        decoded(zlib.compress(bytes(size)), "deflate")


PLAIN = f"<response><ref>{REF}</ref></response>".encode()
GZIP, ZLIB = gzip.compress(PLAIN, mtime=0), zlib.compress(PLAIN)
RAW = zlib.compress(PLAIN, wbits=-15)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "none"),
        (PLAIN, "gzip"),
        (PLAIN, "br"),
        (b"\r\n\xef\xbb\xbf" + PLAIN, "deflate"),
        (GZIP, ""),
        (GZIP, "identity"),
        (GZIP, "br"),
        (GZIP, "none"),
        (ZLIB, ""),
        (RAW, ""),
        (RAW, "utf-8"),
        (gzip.compress(GZIP, mtime=0), ""),
    ],
)
def test_body_decides_what_coding_it_has(body: bytes, coding: str) -> None:
    """A readable body is an answer even if its head names another coding; the wrong head is noticed (A5)."""
    noticed: list[Oddity] = []
    assert decoded(body, coding, noticed.append).endswith(PLAIN)
    assert noticed == [Oddity.CODING]


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (PLAIN, ""),
        (PLAIN, "identity"),
        (GZIP, "GZIP"),
        (GZIP, "deflate"),
        (ZLIB, "x-gzip"),
        (RAW, "deflate"),
        (gzip.compress(GZIP, mtime=0), "gzip, gzip"),
        (GZIP + b"\r\n", "gzip"),
        (GZIP + bytes(500), "gzip"),
        (gzip.compress(PLAIN[:20], mtime=0) + gzip.compress(PLAIN[20:], mtime=0), "gzip"),
    ],
)
def test_body_in_the_coding_of_its_head_is_nothing_odd(body: bytes, coding: str) -> None:
    """One coding, two, or one in several members (A5)."""
    noticed: list[Oddity] = []
    assert decoded(body, coding, noticed.append) == PLAIN
    assert noticed == []


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "deflate", "compress"])
def test_body_in_no_known_coding_is_garbled(coding: str) -> None:
    """An unreadable body may be an answer: it does not count as silence, not even under HTTP 503."""
    with pytest.raises(Garbled):
        decoded(b"\x8b\x14\x00\xf8\xa5", coding)


@pytest.mark.parametrize("damage", [lambda body: body[:-5], lambda body: body + b"more"])
def test_damaged_compressed_body_is_refused(damage: Callable[[bytes], bytes]) -> None:
    """A body that is cut short, or followed by something, is refused."""
    with pytest.raises(Garbled):
        decoded(damage(zlib.compress(b"<response/>", wbits=31)), "gzip")
