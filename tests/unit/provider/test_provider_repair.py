"""Reading an answer's body a second time, as a person would read it."""

from __future__ import annotations

import time

import pytest

from tests.unit.provider.reading import REF, UNREADABLE, ref_of
from worker.http.oddities import Oddity
from worker.http.phases import MAX_ANSWER_BYTES
from worker.provider.answer import ProviderFailure, read

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
    '{"response": {"ref": "%s"}}\nPHP Fatal error: in {closure}',
    '{"response": {"ref": "%s"}}\n{"response": {"ref": "%s"}}\n',
    "{'version': '1'}{'failed': false}{'response': {'ref': '%s'}}",
    # Encoded twice.
    "{&quot;response&quot;: {&quot;ref&quot;: &quot;%s&quot;}}",
    "{&#34;response&#34;: {&#34;ref&#34;: &#34;%s&#34;}}",
    r'"{\"response\": {\"ref\": \"%s\"}}"',
    '<string xmlns="urn:x">{"response": {"ref": "%s"}}</string>',
    "<string xmlns='urn:x'>&lt;response&gt;&lt;ref&gt;%s&lt;/ref&gt;&lt;/response&gt;</string>",
    "\x00\x00<response><ref>%s</ref></response>\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", REPAIRED)
def test_answer_that_a_person_can_read_is_read(text: str) -> None:
    """A fault beside a ref does not make the phone ring again; the repair is noticed (A3, A4)."""
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


@pytest.mark.alone
@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_long_body_that_cannot_be_read_takes_a_moment(text: str) -> None:
    """Whatever 64 KiB hold, reading them twice takes a moment: calls share a thread (A3, A4)."""
    began = time.process_time()
    with pytest.raises(UNREADABLE):
        ref_of(text.encode()[:MAX_ANSWER_BYTES])
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
        (b'{"failed": {"error_code": "NO_POINTS"}, "response": {"ref": 0}}', ""),
        (b"<failed>NO_POINTS: None left.</failed>", "None left."),
        (b'{"failed": {"errorCode": "NO_POINTS", "errorMessage": "None left."}}', "None left."),
        (b'{"failed": {"code": "NO_POINTS", "error": true, "message": "None left."}}', "None left."),
        (b"<failed><Error-Code>NO_POINTS</Error-Code></failed>", ""),
        (b"<response><failed><error_code>NO_POINTS</error_code></failed></response>", ""),
        (b'{"response": {"error_code": "NO_POINTS", "error_msg": "None left."}}', "None left."),
        (b'{"failed": {"error_code": "NO_POINTS"}}\n{"failed": {"error_code": "NO_POINTS"}}', ""),
        (b"<xml><response/><failed><error_code>NO_POINTS</error_code></failed></xml>", ""),
    ],
)  # fmt: skip
def test_error_that_a_person_can_read_is_read(body: bytes, message: str) -> None:
    """An account without points is held, however its message or the empty half beside it is spelled (A3, A4)."""
    body += b"}" * (body.count(b"{") - body.count(b"}"))
    assert read(body) == ProviderFailure("NO_POINTS", message)
