"""Reads an answer's body for the tests, and has a good one."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from worker.http.oddities import Oddity
from worker.provider.answer import Neither, Response, read
from worker.provider.bodies import Garbled, NoDocument

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"
UNREADABLE = (Garbled, NoDocument, Neither)
refs = st.text(string.digits + string.ascii_letters, min_size=32, max_size=32)


def ref_of(body: bytes, *oddities: Oddity) -> str:
    """The ref in `body`, in which just these oddities must be noticed."""
    noticed: set[Oddity] = set()
    found = read(body, noticed.add)
    assert isinstance(found, Response)
    ref = found.ref()
    assert noticed == set(oddities)
    return ref


def anything(body: bytes) -> None:
    """Read `body` to the end; only the three refusals may be raised."""
    try:
        found = read(body)
        if isinstance(found, Response):
            assert found.ref()
    except UNREADABLE as error:
        assert error.__cause__ is None
