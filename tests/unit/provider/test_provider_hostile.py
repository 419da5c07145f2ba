"""No bytes of an answer do harm: bombs, and whatever hypothesis thinks of."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.provider.reading import REF, UNREADABLE, anything, ref_of, refs

BOMBS = [
    '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><response><ref>&b;</ref></response>',
    '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><response><ref>&x;</ref></response>',
    '<!DOCTYPE response SYSTEM "http://127.0.0.1:9/x.dtd"><response><ref>%s</ref></response>',
    "<a>" * 9000,
    "<a>" * 4000 + "</a>" * 4000,
    "[" * 60_000,
    *('{"response":' * depth + "1" + "}" * depth for depth in (5000, 900, 300, 100, 25)),
    *('{"failed": {"error_code": "X", "a": %s}}' % ("[" * depth + "]" * depth) for depth in (5000, 300, 25)),
    *('{"x":' * depth + "1" + "}" * depth for depth in (900, 300)),
    "<response>" + "<a>" * 900 + "<b>1</b><b>2</b>" + "</a>" * 900 + "</response>",
]


@pytest.mark.parametrize("text", BOMBS)
def test_bomb_is_no_document(text: str) -> None:
    """Entities, foreign documents and deep nesting end as what they are: no answer."""
    with pytest.raises(UNREADABLE):
        ref_of(text.replace("%s", REF).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No bytes break the reader."""
    anything(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | refs,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["response", "failed", "ref", "error_code", "error_msg", "balance", ""]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.booleans())
def test_any_json_is_read_or_refused(value: Any, ascii_only: bool) -> None:
    """No JSON breaks the reader, lone surrogates and NaN included."""
    anything(json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass"))


@given(json_values, st.integers(0, 200), st.binary(max_size=3))
def test_any_damaged_json_is_read_or_refused(value: Any, at: int, inserted: bytes) -> None:
    """JSON with something foreign in it does not break the reader."""
    body = json.dumps({"response": value}).encode()
    anything(body[:at] + inserted + body[at:])


names = st.sampled_from(
    ["response", "failed", "ref", "error_code", "error_msg", "x:ref", "?pi", "!--", "![CDATA["]
)
xml_texts = st.recursive(
    st.text(max_size=20).map(escape) | refs | st.just("&#0;") | st.just("&nope;"),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>", names, st.lists(inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    xml_texts,
    st.sampled_from(["", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-7'?>", "<!DOCTYPE a>"]),
)
def test_any_xml_is_read_or_refused(text: str, prolog: str) -> None:
    """No XML breaks the reader, well-formed or not."""
    anything((prolog + text).encode(errors="surrogatepass"))


@given(
    st.sampled_from(
        ["idna", "punycode", "rot13", "hex", "zip", "utf-32", "big5", "mbcs", "undefined", "x" * 99]
    )
)
def test_any_declared_encoding_is_read_or_refused(encoding: str) -> None:
    """Python knows encodings that are none."""
    anything(f'<?xml version="1.0" encoding="{encoding}"?><response><ref>{REF}</ref></response>'.encode())
