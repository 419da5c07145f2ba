"""AMQP properties read from any bytes: what is asked for, and no error."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from struct import pack
from typing import Any

import amqp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.broker.amqp_properties import Properties, Undecoded, read_properties

WANTED = {b"task": "task", b"id": "id"}


def packed(**properties: Any) -> bytes:
    """Return the properties as py-amqp writes them."""
    return bytes(amqp.Message(**properties)._serialize_properties())


def table(*fields: bytes) -> bytes:
    """Properties that are a table of headers alone."""
    return b"\x20\x00" + pack(">I", sum(map(len, fields))) + b"".join(fields)


def field(name: bytes, kind: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + kind + value


def long(value: bytes) -> bytes:
    return pack(">I", len(value)) + value


def test_a_producers_properties_are_read() -> None:
    """They are read whatever types the headers beside them are of."""
    others: dict[str, Any] = {
        "n": 1, "large": 2**40, "flag": True, "none": None, "price": Decimal("1.5"), "at": datetime.now(UTC),
        "list": [1, [2, {"x": "y"}]], "nested": {"a": {"b": []}}, "float": 1.5, "bytes": b"\xff",
    }  # fmt: skip
    headers = {**others, "task": "calls.verify", "id": "ä", "more": "x"}
    raw = packed(content_type="application/json", content_encoding="utf-8", application_headers=headers)
    read = read_properties(raw, WANTED)
    assert read == Properties("application/json", {"task": "calls.verify", "id": "ä"})


@pytest.mark.parametrize(
    "rest",
    [
        {"timestamp": 1_764_000_000_000},
        {"timestamp": 2**60},
        {"correlation_id": bytes(range(240, 256))},
        {"app_id": "Gerät".encode("latin-1")},
        {"expiration": b"\xff", "type": b"\xfe", "user_id": b"\xfd", "priority": 255},
    ],
)
def test_properties_that_nobody_asks_for_need_not_be_readable(rest: dict[str, Any]) -> None:
    """A time in milliseconds, an id that is no text, Latin-1 (E2)."""
    raw = packed(content_type="application/json", application_headers={"task": "t"}, **rest)
    assert read_properties(raw, WANTED) == Properties("application/json", {"task": "t"})


def test_depth_costs_nothing() -> None:
    """Tables in tables, deeper than any stack, are passed over by their length (E2)."""
    inner = b""
    for _ in range(15_000):
        inner = field(b"", b"F", long(inner))
    raw = table(field(b"deep", b"F", long(inner)), field(b"task", b"S", long(b"t")))
    assert read_properties(raw, WANTED) == Properties(None, {"task": "t"})


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"S" + long(b"\xe9"), "\\xe9"),
        (b"I" + pack(">i", -5), -5),
        (b"t\x01", True),
        (b"V", None),
        (b"F" + long(b""), Undecoded("F")),
        (b"A" + long(b"V"), Undecoded("A")),
        (b"x" + long(b"abc"), Undecoded("x")),
        (b"T" + pack(">Q", 2**60), Undecoded("T")),
        (b"d" + pack(">d", 1.5), Undecoded("d")),
    ],
)
def test_a_header_of_any_type_has_a_value(value: bytes, read: Any) -> None:
    """Texts and whole numbers keep their value; other values are replaced by their type."""
    raw = table(field(b"id", value[:1], value[1:]), field(b"task", b"S", long(b"t")))
    assert read_properties(raw, WANTED) == Properties(None, {"id": read, "task": "t"})


def test_what_stands_before_an_unknown_type_is_known() -> None:
    """Behind it nobody can tell where the next field begins; the reason says so (E2)."""
    raw = table(field(b"task", b"S", long(b"t")), field(b"odd", b"?", b"12"), field(b"id", b"S", long(b"i")))
    assert read_properties(raw, WANTED) == Properties(None, {"task": "t"}, "unknown field type '?'")


def test_properties_that_are_cut_off_say_so() -> None:
    """Wherever that is: every beginning is read without an error, and what is whole in it is known."""
    raw = packed(content_type="application/json", application_headers={"id": "i", "task": "t"})
    for length in range(len(raw)):
        read = read_properties(raw[:length], WANTED)
        assert read.unreadable == "they end too soon"
    assert read_properties(raw, WANTED).unreadable == ""


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda raw: b"\xe0\x00" + raw))
def test_any_bytes_are_read(raw: bytes) -> None:
    """No bytes end in an error (E2)."""
    read_properties(raw, WANTED)
