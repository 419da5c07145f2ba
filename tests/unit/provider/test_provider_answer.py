"""Reading an answer's body: both formats, every documented spelling, and no bytes that could do harm."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.provider.answer import Failure, Neither, Response, read
from worker.provider.bodies import Garbled, NoDocument, decoded
from worker.provider.phases import ANSWER_BYTES

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"
UNREADABLE = (Garbled, NoDocument, Neither)
refs = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32)


def ref_of(body: bytes) -> str:
    found = read(body)
    assert isinstance(found, Response)
    return found.ref()


SPELLINGS = [
    f'{{"version":"1.0","encoding":"UTF-8","response":{{"ref":"{REF}"}}}}',
    f'{{"version": "1.0", "encoding": "UTF-8", "response": {{"ref": {REF}}}}}',
    f'{{"response": {{"ref" : {REF} , "more": 1}}}}',
    f'\r\n\ufeff {{"response":{{\n"ref":\t{REF}\n}}}}',
    f'{{"response": {{"ref": "{REF}"}}, "failed": null}}',
    f"<response><ref>{REF}</ref></response>",
    f'<?xml version="1.0" encoding="UTF-8"?>\n<response><ref>{REF}</ref></response>\n',
    f'\r\n <?xml version="1.0"?><response>\n  <ref>\n  {REF}\n  </ref></response>',
    f'\ufeff<?xml version="1.0" encoding="UTF-8"?><response><ref>{REF}</ref></response>',
    f'<p:response xmlns:p="urn:x"><p:ref>{REF}</p:ref></p:response>',
    f'<response xmlns="urn:x" a="b"><!-- c --><ref>{REF}</ref><ref>{REF}</ref><other><ref>1</ref></other></response>',
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_good_answer_gives_the_same_ref(text: str) -> None:
    """Quoted, bare, padded, marked, with namespace: one ref."""
    assert ref_of(text.encode()) == REF


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16be", "iso-8859-1", "windows-1252", "us-ascii"])
def test_xml_may_be_in_the_encoding_it_declares(encoding: str) -> None:
    """An encoding is the server's choice."""
    text = f'<?xml version="1.0" encoding="{encoding}"?><response><ref>{REF}</ref></response>\n'
    assert ref_of(text.encode(encoding)) == REF


@given(refs)
def test_any_ref_survives_in_both_json_spellings_and_in_xml(ref: str) -> None:
    """Bare refs that look like integers or floats are not read as numbers."""
    for text in (
        '{"response":{"ref":%s}}',
        '{"response":{"ref":"%s"}}',
        "<response><ref>%s</ref></response>",
    ):
        assert ref_of((text % ref).encode()) == ref


@pytest.mark.parametrize("ref", ["1" * 32, "0" * 32, "12E45670000000000000000000000000", "1e" + "9" * 30])
def test_bare_ref_that_looks_like_a_number_is_a_ref(ref: str) -> None:
    """All digits, leading zeros, an exponent: given back as spelled."""
    assert ref_of(b'{"response": {"ref": %s}}' % ref.encode()) == ref


@pytest.mark.parametrize(
    "body",
    [
        b'{"failed": {"error_code": "NO_POINTS", "error_msg": "No points left."}}',
        b"<failed><error_code> NO_POINTS </error_code><error_msg>No points left.</error_msg></failed>",
        b'{"version": 1.0, "failed": {"error_msg": "No points left.", "error_code": "NO_POINTS"}, "response": null}',
    ],
)
def test_error_is_read_with_its_message(body: bytes) -> None:
    """Code and message come out, in either format."""
    assert read(body) == Failure("NO_POINTS", "No points left.")


def test_message_in_another_encoding_does_not_hide_the_error() -> None:
    """A stray byte harms a letter of the message, no more."""
    assert read(b'{"failed": {"error_code": "X", "error_msg": "\xe9"}}') == Failure("X", "�")


@pytest.mark.parametrize("message", [b"", b', "error_msg": null', b', "error_msg": {"a": [1]}'])
def test_error_without_a_message_is_an_error(message: bytes) -> None:
    """The code is what counts."""
    assert read(b'{"failed": {"error_code": "X"%s}}' % message) == Failure("X", "")


CONTRADICTIONS = [
    '{"response": {"ref": "%s"}, "failed": {"error_code": "X"}}',
    '{"response": {"ref": "%s"}, "response": {"ref": "0"}}',
    '{"response": {"ref": "%s", "ref": "0"}}',
    '{"response": {"ref": "%s", "error_code": "X"}}',
    '{"failed": {"ref": "%s", "error_code": "X"}}',
    '{"response": "%s"}',
    '{"response": ["%s"]}',
    '{"response": {"ref": ["%s"]}}',
    '{"response": {"ref": "%s0"}}',
    '{"response": {"reference": "%s"}}',
    '{"response": {"ref": null}}',
    '{"response": {}}',
    '{"failed": {}}',
    '{"failed": {"error_code": ""}}',
    '{"failed": {"error_code": ["X"]}}',
    '{"failed": true}',
    "<response><ref>%s</ref><ref>0</ref></response>",
    "<response><ref>%s</ref><failed/></response>",
    "<response><ref>%s</ref><error_code>X</error_code></response>",
    "<response><ref><b>%s</b></ref></response>",
    "<response>%s</response>",
    "<response/>",
    "<failed/>",
    "<failed><error_code/></failed>",
    "<failed><error_code>X</error_code><error_code>Y</error_code></failed>",
]


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_contradictory_or_incomplete_answer_is_garbled(text: str) -> None:
    """What looks like an answer but cannot be one is neither taken nor ignored."""
    with pytest.raises(Garbled):
        ref_of((text.replace("%s", REF)).encode())


SILENT = [
    "", " ", "null", "[]", '"ref"', "{}", '{"ref": "%s"}', '{"status": {"ref": "%s"}}', '{"response": null}', "%s",
    '{"response": {"ref": "%s"}', '{"response": {"ref": "%s"}}}', '{"response": {"ref": %s0}}',
    "<html><body>%s</body></html>", "<Response><ref>%s</ref></Response>", "<response><ref>%s</ref>",
    "<response><ref>%s</ref></response><x/>", '<?xml version="1.0" encoding="none"?><response><ref>%s</ref></response>',
]  # fmt: skip


@pytest.mark.parametrize("text", SILENT)
def test_what_is_no_answer_says_nothing(text: str) -> None:
    """Neither `response` nor `failed` at the top, or no document at all."""
    with pytest.raises((NoDocument, Neither)):
        read(text.replace("%s", REF).encode())


BOMBS = [
    '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><response><ref>&b;</ref></response>',
    '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><response><ref>&x;</ref></response>',
    '<!DOCTYPE response SYSTEM "http://127.0.0.1:9/x.dtd"><response><ref>%s</ref></response>',
    "<a>" * 9000,
    "<a>" * 4000 + "</a>" * 4000,
    "[" * 60_000,
    '{"response":' * 5000 + "1" + "}" * 5000,
]


@pytest.mark.parametrize("text", BOMBS)
def test_bomb_is_no_document(text: str) -> None:
    """Entities, foreign documents and deep nesting end as what they are: no answer."""
    with pytest.raises(UNREADABLE):
        ref_of(text.replace("%s", REF).encode())


@pytest.mark.parametrize("number", ["9" * 6000, "-1e999", "NaN", "Infinity", "-Infinity"])
def test_strange_numbers_do_not_hide_an_answer(number: str) -> None:
    """No number of JSON is computed with."""
    assert ref_of(f'{{"x": {number}, "response": {{"ref": "{REF}"}}}}'.encode()) == REF


@pytest.mark.parametrize(("text", "points"), [('"124"', 124), ("124", 124), ("-1", -1), ('" 0 "', 0)])
def test_balance_is_a_whole_number(text: str, points: int) -> None:
    """Quoted or not."""
    found = read(b'{"response": {"balance": %s}}' % text.encode())
    assert isinstance(found, Response) and found.balance() == points


@pytest.mark.parametrize("text", ["1.5", "null", '"many"', "9" * 99, "true"])
def test_other_balances_are_garbled(text: str) -> None:
    """No guess is made."""
    found = read(b'{"response": {"balance": %s}}' % text.encode())
    assert isinstance(found, Response)
    with pytest.raises(Garbled):
        found.balance()


def anything(body: bytes) -> None:
    """Read `body` to the end; only the three refusals may be raised."""
    try:
        found = read(body)
        if isinstance(found, Response):
            assert len(found.ref()) == 32
    except UNREADABLE as refusal:
        assert refusal.__cause__ is None


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
    """Nor does JSON with something foreign in it."""
    body = json.dumps({"response": value}).encode()
    anything(body[:at] + inserted + body[at:])


names = st.sampled_from(
    ["response", "failed", "ref", "error_code", "error_msg", "x:ref", "?pi", "!--", "![CDATA["]
)
PROLOGS = ["", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='utf-7'?>", "<!DOCTYPE a>"]


def element(name: str, parts: list[str]) -> str:
    return f"<{name}>{''.join(parts)}</{name}>"


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


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "x-gzip", "deflate", "raw"]))
def test_content_codings_are_undone(body: bytes, coding: str) -> None:
    """What was compressed comes out as it was, whatever the server calls deflate."""
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15, "raw": -15}[coding]
    assert decoded(zlib.compress(body, wbits=bits), coding.replace("raw", "deflate")) == body


@given(
    st.binary(max_size=300),
    st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\ud800", "identity", ""]),
)
def test_any_coded_bytes_are_decoded_or_refused(body: bytes, coding: str) -> None:
    """No bytes break the decoder."""
    try:
        assert len(decoded(body, coding)) <= ANSWER_BYTES
    except Garbled as refusal:
        assert refusal.__cause__ is None


@pytest.mark.parametrize("size", [ANSWER_BYTES + 1, 50_000_000])
def test_body_too_large_once_decoded_is_refused(size: int) -> None:
    """A few KiB that would become many."""
    with pytest.raises(Garbled):
        decoded(zlib.compress(bytes(size)), "deflate")


@pytest.mark.parametrize(
    "damage", [lambda body: body[:-5], lambda body: body + b"more", lambda body: body * 2]
)
def test_damaged_compressed_body_is_refused(damage: Callable[[bytes], bytes]) -> None:
    """Cut short, or followed by something."""
    with pytest.raises(Garbled):
        decoded(damage(zlib.compress(b"<response/>", wbits=31)), "gzip")
