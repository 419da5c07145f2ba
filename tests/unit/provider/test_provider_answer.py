"""Reading an answer's body: both formats, every documented spelling, and no bytes that could do harm."""

from __future__ import annotations

import gzip
import json
import string
import time
import zlib
from collections.abc import Callable
from typing import Any, cast
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.provider.answer import Failure, Neither, Response, read
from worker.provider.bodies import Garbled, NoDocument
from worker.provider.codings import decoded
from worker.provider.oddities import Oddity
from worker.provider.phases import ANSWER_BYTES

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


SPELLINGS = [
    f'{{"version":"1.0","encoding":"UTF-8","response":{{"ref":"{REF}"}}}}',
    f'{{"version": "1.0", "encoding": "UTF-8", "response": {{"ref": {REF}}}}}',
    f'{{"response": {{"ref" : {REF} , "more": 1}}}}',
    f'\r\n\ufeff {{"response":{{\n"ref":\t{REF}\n}}}}',
    f'{{"response": {{"ref": "{REF}"}}, "failed": null}}',
    f'{{"response": ["{REF}"]}}',
    f'{{"response": {{"ref": ["{REF}"]}}}}',
    f'{{"response": [{{"ref": "{REF}", "more": 1}}]}}',
    f'{{"response": {{"reference": "{REF}"}}}}',
    f'{{"response": {{"call": {{"id": "{REF}", "none": null}}}}}}',
    f"<response>{REF}</response>",
    f'<response ref="{REF}"/>',
    f"<response><ref><b>{REF}</b></ref></response>",
    f"<response><ref>{REF}</ref><failed/></response>",
    f"<response><ref>{REF}</ref></response>",
    f'<?xml version="1.0" encoding="UTF-8"?>\n<response><ref>{REF}</ref></response>\n',
    f'\r\n <?xml version="1.0"?><response>\n  <ref>\n  {REF}\n  </ref></response>',
    f'\ufeff<?xml version="1.0" encoding="UTF-8"?><response><ref>{REF}</ref></response>',
    f'<p:response xmlns:p="urn:x"><p:ref>{REF}</p:ref></p:response>',
    f'<response xmlns="urn:x" a="b"><!-- c --><ref>{REF}</ref><ref>{REF}</ref><other><ref>1</ref></other></response>',
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_good_answer_gives_the_same_ref(text: str) -> None:
    """Quoted, bare, padded, marked, with namespace: one ref, and so where it stands alone under no name of its own.

    Those were once unreadable, and the phone rang again (A7).
    """
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
    '{"response": {"ref": null}}',
    '{"response": {}}',
    '{"failed": {}}',
    '{"failed": {"error_code": ""}}',
    '{"failed": {"error_code": ["X"]}}',
    '{"failed": true}',
    '{"failed": false}',
    '{"response": []}',
    '{"response": {"ref": "%s"}, "failed": {"error_msg": "No."}}',
    '{"response": {"ref": "%s"}, "failed": true}',
    '{"response": {"id": "%s", "status": "queued"}}',
    '{"response": {"error": "%s"}}',
    '{"response": {"ref": {"a": "%s", "b": "2"}}}',
    "<response><a>%s</a><b>2</b></response>",
    "<response><error>%s</error></response>",
    "<response><ref>%s</ref><failed>X</failed></response>",
    "<response><ref>%s</ref><ref>0</ref></response>",
    "<response><ref>%s</ref><error_code>X</error_code></response>",
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
    "<html><body>%s</body></html>", "{" * 9000, "it's a response",
]  # fmt: skip


@pytest.mark.parametrize("text", SILENT)
def test_what_is_no_answer_says_nothing(text: str) -> None:
    """Neither `response` nor `failed`, or no document at all."""
    with pytest.raises((NoDocument, Neither)):
        read(text.replace("%s", REF).encode())


BROKEN = [
    "<p>no <response",
    '{"response": {"ref": "%s"', '{"response": {"ref": "%s', "<response><ref>%s</ref>", "<response><ref>%s</ref></resp",
    "<response><ref>%s</response>", '{"response": {"ref": "%s"}} {"failed": {"error_code": "X"}}',
    "<response><ref>%s</ref></response><failed><error_code>X</error_code></failed>",
    "<response><ref>%s</ref></response><response><ref>0</ref></response>",
    '{"Response": {"ref": "%s", "Ref": "0"}}', "{'response': {'ref': '%s', 'error_code': 'X'}}",
    "<!DOCTYPE html><html><body><response><ref>%s</ref></response></body></html>",
    '{"response": {"ref": "%s"},' + " 1," * 5000 + "}", "<response><ref>%s</ref>" + "<b>" * 5000 + "</response>",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_broken_response_is_not_silence(text: str) -> None:
    """Cut short, contradictory, or too large to be read twice: under HTTP 503 too, the phone may have rung."""
    with pytest.raises(Garbled):
        ref_of(text.replace("%s", REF).encode())


REPAIRED = [
    # XML: a byte that it does not allow, in or beside the answer.
    "<response><ref>%s</ref><error_msg>caf\xe9</error_msg></response>",
    "<?xml version='1.0' encoding='UTF-8'?>\n<response><ref>%s</ref><note>\xe9\xff\xfe</note></response>",
    "<response><ref>%s</ref><note>you & me &nbsp; &eacute;&unknown;&#0;&#xD800;&#9999999;&</note></response>",
    "<response><ref>%s</ref><note>\x00\x01\x0b\x1f</note></response>",
    "<response><ref>\x01%s\x00</ref></response>",
    "<response><ref>%s</ref><note>a < b<br>c <-- d</note></response>",
    "<response><ref>%s</ref><!-- a -- b & --></response>",
    "<response><ref><![CDATA[%s]]></ref><note><![CDATA[<&>]]>&</note></response>",
    # XML: what is around it, and how its names are spelled.
    "<br />\n<b>Notice</b>: x on line <b>3</b><br />\n<?xml version='1.0'?><response><ref>%s</ref></response>",
    "<response><ref>%s</ref></response><script>if (a < b && c) {}</script>",
    "<response><ref>%s</ref></response><x/>",
    '<?xml version="1.0" encoding="none"?><response><ref>%s</ref></response>',
    '<?xml version="1.0" encoding="UTF-16"?><response><ref>%s</ref></response>',
    "<?xml version='1.0'?><?xml version='1.0'?><response><ref>%s</ref></response>",
    "<p:response x:y='1'><p:ref>%s</p:ref></p:response>",
    "<s:Envelope xmlns:s='urn:s'><s:Body><s:response><ref>%s</ref></s:response></s:Body></s:Envelope>",
    "<Response><REF>%s</REF></Response>",
    "<RESPONSE REF='%s' />",
    "<xml><failed>false</failed><response><ref>%s</ref></response></xml>",
    # JSON: strings.
    '{"response": {"ref": "%s", "error_msg": "two\nlines\r\n\tand a tab \x01"}}',
    '{"response": {"ref": "%s", "note": "it\\\'s \\x \\q"}}',
    '{"response": {"ref": "%s", "note": "the "best" of all"}}',
    "{'response': {'ref': '%s', 'note': 'a \"b\" \\' c'}}",
    # JSON: signs between them.
    '{"response": {"ref": "%s",},}',
    '{"response": {"ref": %s,},}',
    '{"version": "1.0" "response": {"ref": "%s" "more": 1}}',
    '{"version": , "response": {,"ref": "%s"}, "list": [1,, 2,]}',
    '{response: {ref: %s, status: all is well}}',
    '{"response": {"ref": %s, "id": 007, "x": NaN, "y": undefined, "z": None, "w": TRUE}}',
    # JSON: what is around it, and where it is.
    '{"response": {"ref": "%s"}}}',
    'callback({"response": {"ref": "%s"}});',
    'while(1);{"response": {"ref": "%s"}}',
    '<br />\n<b>Notice</b>: it\'s on line <b>3</b><br />\n{"response": {"ref": "%s"}}',
    '\xef\xbb\xbf\xef\xbb\xbf{"response": {"ref": "%s"}}',
    '[{"response": {"ref": "%s"}}]',
    '{"result": {"response": {"ref": "%s"}, "failed": null}}',
    '{"Response": {"Ref": "%s"}, "Failed": false}',
    '{"note": "<response>", "response": {"ref": "%s",}}',
]  # fmt: skip


@pytest.mark.parametrize("text", REPAIRED)
def test_answer_that_a_person_can_read_is_read(text: str) -> None:
    """What is wrong beside a ref does not make the phone ring again; that it had to be repaired is noticed (A3, A4)."""
    assert ref_of(text.replace("%s", REF).encode("latin-1"), Oddity.REPAIRED) == REF


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text", ['{"response": {"ref": "%s", "note": "é",}}', "<response><ref>%s</ref><note>é&</note></response>"]
)
def test_repaired_answer_may_be_in_any_utf(text: str, encoding: str) -> None:
    """Marks and zero bytes show the encoding (A3, A4)."""
    assert ref_of(text.replace("%s", REF).encode(encoding), Oddity.REPAIRED) == REF


LONG = {
    "tags": "<response>" * 6500,
    "tags that do not end": "<response>" + "<b " * 21_000 + "</response>",
    "comments": "<response>" + "<!--" * 16_000 + "</response>",
    "sections": "<response>" + "<![CDATA[" * 7000 + "</response>",
    "instructions": "<response>" + "<?" * 32_000 + "</response>",
    "ampersands": "<response><ref/>" + "&" * 65_000 + "</response>",
    "attributes": "<response " + "a.-" * 21_000 + "</response>",
    "half of the names": "<response>&" + "<c>1</c>" * 8000 + "</response>",
    "quotes": "{" + "\"\\'" * 21_000,
    "escapes": '{"a": "' + '\\"' * 32_000,
    "braces": "{" * 65_000,
    "words": '{"a": ' + "a " * 32_000 + "}",
    "names": '{"a": ' + '"b" ' * 16_000 + "}",
    "list": '{"a": [' + "1," * 32_000,
    "spaces": "{" + " " * 65_000,
    "no answer": "response" * 8000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_long_body_that_cannot_be_read_takes_a_moment(text: str) -> None:
    """Whatever 64 KiB hold, reading them twice takes a moment: calls share a thread (A3, A4)."""
    began = time.process_time()
    with pytest.raises(UNREADABLE):
        ref_of(text.encode()[:ANSWER_BYTES])
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<failed><error_code>NO_POINTS</error_code><error_msg>Cr\xe9dit</error_msg></failed>", "Cr\ufffddit"),
        (b"<failed><error_code>NO_POINTS</error_code><error_msg>Buy & call</error_msg></failed>", "Buy & call"),
        (b"<failed><error_code>NO_POINTS</error_code><error_msg>No&nbsp;points</error_msg></failed>", "No&nbsp;points"),
        (b"<failed><error_code>NO_POINTS</error_code><error_msg>cr&#233;dit \x02.</error_msg></failed>", "crédit  ."),
        (b'{"failed": {"error_code": "NO_POINTS", "error_msg": "No\npoints\tleft"}}', "No\npoints\tleft"),
        (b'{"failed": {"error_code": "NO_POINTS", "error_msg": "You\\\'ve none",}}', "You've none"),
        (b'{"failed": {"error_code": "NO_POINTS", "error_msg": "\\u00e9\\ud83d\\ude00\\ud83d",}', "é😀\ufffd"),
        (b'{"failed": {"error_code": NO_POINTS, "error_msg": No points left}}', "No points left"),
        (b"<failed>NO_POINTS</failed>", ""),
        (b'{"failed": "NO_POINTS", "response": false}', ""),
        (b'{"failed": {"error_code": "NO_POINTS"}, "response": []}', ""),
        (b'{"failed": {"error_code": "NO_POINTS"}, "response": {"ref": ""}}', ""),
        (b"<xml><response/><failed><error_code>NO_POINTS</error_code></failed></xml>", ""),
    ],
)  # fmt: skip
def test_error_that_a_person_can_read_is_read(body: bytes, message: str) -> None:
    """An account without points is held, however its message or the empty half beside it is spelled (A3, A4)."""
    body += b"}" * (body.count(b"{") - body.count(b"}"))
    assert read(body) == Failure("NO_POINTS", message)


@pytest.mark.parametrize(
    "no", ["false", "null", "[]", "{}", '""', '" "', "0", '"no"', '{"error_code": "", "error_msg": null}']
)
def test_empty_half_is_an_absent_one(no: str) -> None:
    """What is empty does not contradict the answer beside it (A4)."""
    assert ref_of(b'{"response": {"ref": "%s"}, "failed": %s}' % (REF.encode(), no.encode())) == REF


@pytest.mark.parametrize(
    "ref", ["97A6", REF + "0", "7", "123e4567-e89b-12d3-a456-426614174000", "ä b", "x" * 9000]
)
def test_anything_that_stands_alone_in_a_response_is_a_ref(ref: str) -> None:
    """A response says that the phone rings; what its ref looks like is noticed, and no reason to ring again (A7)."""
    for text in ('{"response": {"ref": "%s"}}', "<response><ref>%s</ref></response>", '{"response": "%s"}'):
        assert ref_of((text % ref).encode(), Oddity.REF) == ref


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
    with pytest.raises(Garbled):
        cast(Response, read(b'{"response": {"balance": %s}}' % text.encode())).balance()


def anything(body: bytes) -> None:
    """Read `body` to the end; only the three refusals may be raised."""
    try:
        found = read(body)
        if isinstance(found, Response):
            assert found.ref()
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


# Bytes that begin as gzip does are taken for it, once more.
UNCODED = st.binary(max_size=2000).filter(lambda body: not body.startswith(b"\x1f\x8b"))


@given(UNCODED, st.sampled_from(["gzip", "x-gzip", "deflate", "raw"]))
def test_content_codings_are_undone(body: bytes, coding: str) -> None:
    """What was compressed comes out as it was, whatever the server calls deflate."""
    bits = {"gzip": 31, "x-gzip": 31, "deflate": 15, "raw": -15}[coding]
    assert decoded(zlib.compress(body, wbits=bits), coding.replace("raw", "deflate")) == body


@given(
    st.binary(max_size=300),
    st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\ud800", "identity", "none", ""]),
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


PLAIN = f"<response><ref>{REF}</ref></response>".encode()
GZIP, ZLIB = gzip.compress(PLAIN), zlib.compress(PLAIN)
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
        (gzip.compress(GZIP), ""),
    ],
)
def test_body_decides_what_coding_it_has(body: bytes, coding: str) -> None:
    """What can be read is an answer, whatever its head says of it; a wrong head is noticed (A5)."""
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
        (gzip.compress(GZIP), "gzip, gzip"),
        (gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]), "gzip"),
    ],
)
def test_body_in_the_coding_of_its_head_is_nothing_odd(body: bytes, coding: str) -> None:
    """One coding, two, or one in several members (A5)."""
    noticed: list[Oddity] = []
    assert decoded(body, coding, noticed.append) == PLAIN
    assert noticed == []


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "deflate", "compress"])
def test_body_in_no_known_coding_is_garbled(coding: str) -> None:
    """What cannot be read may be an answer: it is not taken for silence, under HTTP 503 either."""
    with pytest.raises(Garbled):
        decoded(b"\x8b\x14\x00\xf8\xa5", coding)


@pytest.mark.parametrize("damage", [lambda body: body[:-5], lambda body: body + b"more"])
def test_damaged_compressed_body_is_refused(damage: Callable[[bytes], bytes]) -> None:
    """Cut short, or followed by something."""
    with pytest.raises(Garbled):
        decoded(damage(zlib.compress(b"<response/>", wbits=31)), "gzip")
