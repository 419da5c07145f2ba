"""Reading an answer's body by the letter: both formats, every documented spelling."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given

from tests.unit.provider.reading import REF, ref_of, refs
from worker.http.oddities import Oddity
from worker.provider.answer import Neither, ProviderFailure, Response, read
from worker.provider.bodies import Garbled, NoDocument

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
    assert read(body) == ProviderFailure("NO_POINTS", "No points left.")


def test_message_in_another_encoding_does_not_hide_the_error() -> None:
    """A stray byte harms a letter of the message, no more."""
    assert read(b'{"failed": {"error_code": "X", "error_msg": "\xe9"}}') == ProviderFailure("X", "�")


@pytest.mark.parametrize("message", [b"", b', "error_msg": null', b', "error_msg": {"a": [1]}'])
def test_error_without_a_message_is_an_error(message: bytes) -> None:
    """The code is what counts."""
    assert read(b'{"failed": {"error_code": "X"%s}}' % message) == ProviderFailure("X", "")


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
    '{"response": {"error_code": "0", "error_msg": "none"}}',
    '{"response": {"failed": {"error_code": "X"}, "ref": "%s"}}',
    '{"failed": "false alarm"}',
    "<response/>",
    "<failed/>",
    "<failed><error_code/></failed>",
    "<failed><error_code>X</error_code><error_code>Y</error_code></failed>",
]


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_contradictory_or_incomplete_answer_is_garbled(text: str) -> None:
    """A text that looks like an answer but cannot be one is neither taken nor ignored."""
    with pytest.raises(Garbled):
        ref_of((text.replace("%s", REF)).encode())


SILENT = [
    "", " ", "null", "[]", '"ref"', "{}", '{"ref": "%s"}', '{"status": {"ref": "%s"}}', '{"response": null}', "%s",
    "<html><body>%s</body></html>", "{" * 9000, "it's a response",
]  # fmt: skip


@pytest.mark.parametrize("text", SILENT)
def test_what_is_no_answer_says_nothing(text: str) -> None:
    """A document without `response` and `failed`, or no document, says nothing."""
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


@pytest.mark.parametrize(
    "no",
    [
        "false", "null", "[]", "{}", '""', '" "', "0", '"no"', '{"error_code": "", "error_msg": null}',
        '{"error_code": 0, "error_msg": "Success"}', '{"error_code": "none"}',
    ],
)  # fmt: skip
def test_empty_half_is_an_absent_one(no: str) -> None:
    """An empty half does not contradict the answer beside it (A4)."""
    assert ref_of(b'{"response": {"ref": "%s"}, "failed": %s}' % (REF.encode(), no.encode())) == REF


@pytest.mark.parametrize("schema", [" xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'", ""])
def test_half_that_is_nil_is_an_absent_one(schema: str) -> None:
    """A nil half, as .NET and Java write it, is absent, with and without the name's declaration (A4)."""
    text = f"<a{schema}><failed xsi:nil='true'/><response><ref>{REF}</ref></response></a>"
    assert ref_of(text.encode(), Oddity.REPAIRED) == REF


@pytest.mark.parametrize(
    "no",
    [
        '"error_code": 0',
        '"error_code": "none", "error_msg": "Success"',
        '"error_code": "0", "status": "queued"',
    ],
)
def test_word_that_there_was_no_error_is_none(no: str) -> None:
    """An error's code of zero beside a ref contradicts nothing (A4)."""
    assert ref_of(b'{"response": {"ref": "%s", %s}}' % (REF.encode(), no.encode())) == REF


@pytest.mark.parametrize(
    "ref", ["97A6", REF + "0", "7", "123e4567-e89b-12d3-a456-426614174000", "ä b", "x" * 9000]
)
def test_anything_that_stands_alone_in_a_response_is_a_ref(ref: str) -> None:
    """A response says that the phone rings; what its ref looks like is noticed, and no reason to ring again (A7)."""
    for text in ('{"response": {"ref": "%s"}}', "<response><ref>%s</ref></response>", '{"response": "%s"}'):
        assert ref_of((text % ref).encode(), Oddity.REF) == ref


@pytest.mark.parametrize("number", ["9" * 6000, "-1e999", "NaN", "Infinity", "-Infinity"])
def test_strange_numbers_do_not_hide_an_answer(number: str) -> None:
    """No number of JSON is computed with."""
    assert ref_of(f'{{"x": {number}, "response": {{"ref": "{REF}"}}}}'.encode()) == REF


@pytest.mark.parametrize(("text", "points"), [('"124"', 124), ("124", 124), ("-1", -1), ('" 0 "', 0)])
def test_balance_is_a_whole_number(text: str, points: int) -> None:
    """The number is read quoted or not."""
    found = read(b'{"response": {"balance": %s}}' % text.encode())
    assert isinstance(found, Response) and found.balance() == points


@pytest.mark.parametrize("text", ["1.5", "null", '"many"', "9" * 99, "true"])
def test_other_balances_are_garbled(text: str) -> None:
    """No guess is made."""
    with pytest.raises(Garbled):
        cast(Response, read(b'{"response": {"balance": %s}}' % text.encode())).balance()
