"""Input of every sort, for Hypothesis: good jobs gone odd, and what has made a reader or pattern slow or large."""

from __future__ import annotations

import base64
import json
from struct import pack
from typing import Any

from hypothesis import strategies as st

JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125550142", "code": "4321"}

# What has made some reader or pattern slow, deep or large, here or elsewhere: to be repeated.
SEEDS = (
    "code=", "code", "pin is ", "phone:", '"code":', "key: ", "kwargs=", "body:", "://a:b@", "whsec_", "eyJ", "W1t",
    "Bearer ", "&quot;", "%22", "\\\\\\\"", "\\u0000", "[", "{", '{"a":', '{"":0},', "[],", '"",', "0x", "1e9", "9",
    "1-", "+1 (", "a_", "-", " ", "\t", "\n", "é", "😀", "\u202e", "\x00", "\ufffe", "0.1,", "null,", "a\u0301", ",;",
)  # fmt: skip
SIZES = st.sampled_from([1, 2, 7, 64, 1000, 8191, 20_000, 65_000, 65_536, 70_000, 200_000])


@st.composite
def bombs(draw: st.DrawFn) -> str:
    """A few of the seeds over and over, up to a size."""
    unit = "".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3)))
    return draw(st.sampled_from(["", '"', "[", "{", '{"id": "a", "account": "acme", "x": ['])) + unit * (
        draw(SIZES) // len(unit) + 1
    )


ODD_TEXT = st.text(st.characters(codec="utf-8"), max_size=300) | bombs()
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**4000), 2**63, 0.1 + 0.2])
LEAVES = st.none() | st.booleans() | NUMBERS | ODD_TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ODD_TEXT, inner, max_size=5),
    max_leaves=12,
)


@st.composite
def nested(draw: st.DrawFn) -> str:
    """Brackets in brackets, closed or not."""
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}"), ('[{"code":', "}]"), ("[[],", "]")]))
    depth = draw(st.sampled_from([5, 100, 900, 1100, 10_000, 30_000]))
    return opening * depth + draw(st.sampled_from(["", "1"])) + closing * draw(st.sampled_from([0, depth]))


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A good job with some fields of it odd, missing, or in excess."""
    odd = draw(
        st.dictionaries(st.sampled_from([*JOB, "ref", "ext", "message", "expires_at"]), VALUES, max_size=3)
    )
    more = draw(st.dictionaries(ODD_TEXT, VALUES, max_size=3))
    missing = draw(st.sets(st.sampled_from([*JOB]), max_size=2))
    return {name: value for name, value in {**JOB, **odd, **more}.items() if name not in missing}


CANCELS = st.fixed_dictionaries({"cancel": st.just("a") | VALUES}, optional={"account": VALUES, "id": VALUES})
JSON_TEXTS = (jobs() | CANCELS | VALUES).map(json.dumps) | nested() | bombs()
TASK_NAMES = ("calls.verify", "calls.cancel")
PLAIN = JSON_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=300)
TASKS = (
    st.tuples(VALUES, jobs() | VALUES, VALUES).map(lambda body: json.dumps(body).encode())
    | st.fixed_dictionaries({"task": VALUES, "id": VALUES, "args": VALUES, "kwargs": jobs() | VALUES}).map(
        lambda body: json.dumps(body).encode()
    )
    | PLAIN
)


@st.composite
def envelopes(draw: st.DrawFn) -> bytes:
    """A message as kombu keeps it in a list, or what somebody takes for one."""
    body = draw(TASKS)
    document = {
        "body": draw(
            st.sampled_from([base64.b64encode(body).decode(), body.decode("utf-8", "replace"), body.hex()])
        ),
        "content-type": draw(st.sampled_from(["application/json", "json"]) | VALUES),
        "headers": draw(
            st.fixed_dictionaries({"task": st.sampled_from(TASK_NAMES) | VALUES, "id": VALUES}) | VALUES
        ),
        "properties": {
            "body_encoding": draw(st.sampled_from(["base64", None, "x"])),
            "delivery_tag": draw(st.uuids().map(str) | VALUES),
            "delivery_info": draw(
                st.fixed_dictionaries({"exchange": VALUES, "routing_key": VALUES}) | VALUES
            ),
        },
    }
    for name in draw(st.sets(st.sampled_from([*document]), max_size=1)):
        del document[name]
    return json.dumps(document).encode()


def short(text: bytes) -> bytes:
    return bytes([len(text[:255])]) + text[:255]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Headers, their values of any type and any bytes."""
    fields = b""
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from([bytes([letter]) for letter in b"SsxbBUuIiLlfdDFAtTV?"]))
        value = draw(st.binary(max_size=40))
        name = draw(st.sampled_from([b"task", b"id", b"compression"]) | st.binary(max_size=20))
        fields += short(name) + kind + (pack(">I", len(value)) if kind in b"SxFA" else b"") + value
    fields += short(b"task") + b"S" + pack(">I", 12) + b"calls.verify"
    return pack(">I", len(fields) + draw(st.sampled_from([0, 0, 0, 5, -3]))) + fields


@st.composite
def property_lists(draw: st.DrawFn) -> bytes:
    """Flags, and the properties that they promise, or not."""
    flags = draw(st.sampled_from([0xA000, 0x2000, 0x8000, 0xFFFC, 0xFFFF, 0]) | st.integers(0, 0xFFFF))
    parts = pack(">H", flags)
    if flags & 0x8000:
        parts += short(draw(st.just(b"application/json") | st.binary(max_size=255)))
    if flags & 0x4000:
        parts += short(draw(st.binary(max_size=255)))
    if flags & 0x2000:
        parts += draw(tables())
    return parts + draw(st.binary(max_size=60))


DELIVERIES = property_lists() | st.binary(max_size=200)
KEYS = st.sampled_from(["calls", "calls.7", "calls\x06\x163"])
FIELDS = st.lists(
    st.tuples(st.sampled_from([b"job", b"job", b"Job", b""]) | st.binary(max_size=30), PLAIN),
    min_size=1,
    max_size=4,
)
LINES = st.lists(JSON_TEXTS.filter(lambda text: len(text) < 9000), max_size=4).map("\n".join)
CELLS = st.lists(
    st.lists(ODD_TEXT.filter(lambda text: len(text) < 9000), max_size=6).map(",".join), max_size=4
)
FILES = st.tuples(st.just("jsonl"), LINES.map(lambda text: text.encode("utf-8", "replace"))) | st.tuples(
    st.just("csv"), (st.just("id,account,country,phone,code\n") | st.just("")).flatmap(
        lambda head: CELLS.map(lambda rows: (head + "\n".join(rows)).encode("utf-8", "replace"))
    ) | st.binary(max_size=300)
)  # fmt: skip

BOMB = b"code=" * 13_000
DEEP = b"[" * 60_000
WIDE = b'{"id": "a", "account": "acme", "x": [' + b'{"":0},' * 9300 + b"0]}"


NAMES = json.dumps({**JOB, **{f"{n:x}": 0 for n in range(6500)}}, separators=(",", ":")).encode()
REPEATS = b'{"id": "a", "account": "acme", ' + b'"a":0,"b":0,' * 5400 + b'"x": 0}'
HEADERS = b'{"body": "e30=", "headers": {' + b",".join(b'"%x":0' % n for n in range(14_000)) + b"}}"
