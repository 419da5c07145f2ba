"""What an answer means, and what of its text may be published."""

from __future__ import annotations

import base64
import contextlib
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.jobs import Job
from worker.errors import CallError, Misconfigured, Redial, Refused, Retry
from worker.http.answer import Reply
from worker.http.oddities import Oddity
from worker.provider.answer import Response
from worker.provider.codes import CODE, Codes
from worker.provider.publishing import MASK, MAX_MESSAGE_CHARACTERS, Cleaner
from worker.provider.verdict import UNKNOWN_CODE, judged

KEY = "0123456789abcdef0123456789abcdef"
JOB = Job(id="job-1", account="acme", country="44", phone="02075550199", code="48213")
CODES = Codes(
    {"INVALID_TELEPHONE": "refused", "INVALID_KEY": "account", "E48213": "refused", "BUSY": "retry"}
)
REDACTOR = Cleaner.of(JOB, KEY)


def verdict(status: int, body: bytes, **headers: str) -> CallError:
    with pytest.raises(CallError) as caught:
        judged(Reply(status, headers, body), Response.ref, CODES, lambda: REDACTOR)
    return caught.value


def failed(code: str, message: str = "") -> bytes:
    return json.dumps({"failed": {"error_code": code, "error_msg": message}}).encode()


@pytest.mark.parametrize("status", range(100, 1000, 7))
def test_every_status_without_an_answer_has_its_meaning(status: int) -> None:
    """429 and 503 are "not rung", 3xx is configuration, all else may have rung."""
    error = verdict(status, b"<p>")
    expected = Misconfigured if 300 <= status < 400 else Retry if status in (429, 503) else Redial
    assert isinstance(error, expected)
    assert str(status) in error.message


def test_code_classed_as_passing_honours_retry_after() -> None:
    """An operator's class "retry" takes the provider's wish along."""
    error = verdict(200, failed("BUSY"), **{"Retry-After": "7"})
    assert isinstance(error, Retry) and error.retry_after_seconds == 7


@pytest.mark.parametrize("code", ["invalid", "Not a code!", "É", "X" * 65, "9LIVES", "A\nB", "\ud800"])
def test_code_that_is_not_spelled_as_one_is_replaced_and_quoted(code: str) -> None:
    """Events have codes of a known shape; the original code is in the message."""
    error = verdict(200, failed(code, "Why."))
    assert isinstance(error, Refused) and error.code == UNKNOWN_CODE and not error.known
    assert error.message.endswith(": Why.")
    error.message.encode()


def test_listed_code_passes_though_it_looks_like_the_pin() -> None:
    """The operator's own words are no secret."""
    error = verdict(200, failed("E48213"))
    assert isinstance(error, Refused) and error.known and error.code == "E48213"


def test_unlisted_code_that_quotes_the_pin_is_masked() -> None:
    """A code is published, so it is cleaned as a message is, and remains a code."""
    assert verdict(200, failed("E_48213")).code == "E_X"


def test_missing_message_is_replaced() -> None:
    """An event's message is never empty."""
    assert verdict(200, failed("INVALID_TELEPHONE")).message == "the provider gave no reason"


@pytest.mark.parametrize(
    "text",
    [
        "The number 02075550199 is not valid.",
        "The number +442075550199 is not valid.",
        "The number 2075550199 is not valid.",
        "(0) 2075-55.01/99",
        "0 2 0 7 5 5 5 0 1 9 9",
        "".join(chr(0xFF10 + int(digit)) for digit in "2075550199"),
        "٢٠٧٥٥٥٠١٩٩",
        "2075\u200b550199",
        "2075\x00550199",
        "2075\n550199",
        "code=48213",
        "4-8-2-1-3",
        "48213x",
        "x48213",
        "1482139",
        f"key {KEY}",
        f"key {KEY.upper()}",
    ],
)
def test_secret_in_a_message_is_masked_however_it_is_written(text: str) -> None:
    """A secret is masked with country code, without trunk zero, grouped, in other digits, across control characters."""
    message = REDACTOR.publishable(text)
    assert MASK in message
    assert not leaks(message)


def _each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(sign)) for sign in text)


CODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "spaces": " ".join,
    "dots": ".".join,
    "underscores": "_".join,
    "zero-width": "\u200b".join,
    "keycaps": "\ufe0f\u20e3 ".join,
    "full width": lambda text: "".join(chr(ord(sign) + 0xFEE0) for sign in text),
    "Arabic digits": lambda text: text.translate({ord(str(n)): chr(0x660 + n) for n in range(10)}),
    "backwards": lambda text: text[::-1],
    "other case": str.swapcase,
    "URL": _each("%{:02x}"),
    "URL twice": lambda text: quote(_each("%{:02X}")(text)),
    "HTML": _each("&#{};"),
    "HTML, hexadecimal": _each("&#x{:X};"),
    "HTML in HTML": lambda text: html.escape(_each("&#{};")(text)),
    "JSON": _each("\\u{:04x}"),
    "JSON in JSON": _each("\\\\u{:04x}"),
    "Python": _each("\\x{:02x}"),
    "octal": _each("\\{:03o}"),
    "quoted-printable": _each("={:02X}"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 of JSON": lambda text: (
        base64.urlsafe_b64encode(json.dumps({"x": text}).encode()).decode().rstrip("=")
    ),
    "a path with base64": lambda text: f"https://h/x/{base64.b64encode(text.encode()).decode()}",
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, 0x": lambda text: f"0x{text.encode().hex().upper()}",
    "hexadecimal, by bytes": lambda text: text.encode().hex(" "),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("secret", [JOB.phone.lstrip("0"), JOB.code, KEY], ids=["phone", "code", "key"])
def test_secret_in_a_message_is_masked_however_it_is_coded(secret: str, coding: str) -> None:
    """A secret is masked in any coding that a web framework or its log gives to a field of a request (E13)."""
    coded = CODINGS[coding](secret)
    for text in (f"Request with {coded} refused.", f"Request with https://h/?a=1&b={coded}&c=2 refused."):
        message = REDACTOR.publishable(text)
        assert message.startswith("Request with ") and MASK in message
        assert coded not in message and not leaks(message)


def test_two_secrets_in_different_codings_are_both_masked() -> None:
    """Decoding one secret does not restore one that was masked in another coding (E13)."""
    coded = f"a={CODINGS['URL'](JOB.phone.lstrip('0'))}&b={CODINGS['quoted-printable'](JOB.code)}"
    message = REDACTOR.publishable(coded)
    assert message.count(MASK) == 2 and not leaks(message)


@pytest.mark.parametrize("ref", [KEY, KEY.upper(), KEY[::-1], JOB.phone.rjust(32, "0")])
def test_ref_that_quotes_the_request_is_masked_and_told_as_odd(ref: str) -> None:
    """It is a placed call, and what came is no ref that anybody should see (E13)."""
    answer = Reply(200, {}, json.dumps({"response": {"ref": ref}}).encode())
    shown = judged(answer, Response.ref, CODES, lambda: REDACTOR)
    assert MASK in shown and ref not in shown and not leaks(shown)
    assert answer.oddities == {Oddity.REF}


@pytest.mark.parametrize("text", ["Try again in 300 seconds.", "Error 4821.", "Ends in 0199.", "key"])
def test_other_numbers_stay(text: str) -> None:
    """Numbers that are no secret stay readable."""
    assert REDACTOR.publishable(text) == text


def test_number_cut_by_the_limit_is_masked_all_the_same() -> None:
    """Cut first and masked then, all but one of its digits would remain."""
    message = REDACTOR.publishable("x" * (MAX_MESSAGE_CHARACTERS - 9) + " 2075550199")
    assert "207" not in message and len(message) <= MAX_MESSAGE_CHARACTERS


def test_short_trial_key_does_not_eat_ordinary_words() -> None:
    """A key named "key" is not masked in "INVALID_KEY"."""
    assert Cleaner.of(JOB, "key").publishable("The key is not valid.") == "The key is not valid."


def test_redactor_shows_no_secret_of_its_own() -> None:
    """The redactor's repr shows no secret, because it appears in tracebacks and log records."""
    assert not leaks(repr(REDACTOR)) and KEY not in repr(REDACTOR)


def leaks(text: str) -> bool:
    digits = "".join(str(int(sign)) for sign in text if sign.isdecimal())
    return "2075550199" in digits or "48213" in digits or KEY in text.lower()


SECRETS = st.sampled_from(
    [JOB.phone, JOB.code, KEY, "+44" + JOB.phone.lstrip("0"), "020 7555-0199", "4.8.2.1.3"]
)
noise = st.text(max_size=30) | st.text(st.sampled_from(" -./()0123456789\x00\u200b\u202e"), max_size=30)


@given(st.lists(noise | SECRETS, max_size=8), st.lists(noise | SECRETS, max_size=3))
def test_no_message_or_code_leaks_a_secret(words: list[str], code: list[str]) -> None:
    """Whatever the provider says around them, key, number and PIN are not passed on as runs of their signs."""
    error = verdict(200, failed("".join(code) or "X", "".join(words)))
    for text in (error.code, error.message):
        assert not any(secret in text for secret in (JOB.phone, JOB.phone[1:], JOB.code, KEY))
        assert text.isprintable() and len(text) <= MAX_MESSAGE_CHARACTERS
        text.encode()
    assert CODE.fullmatch(error.code)


@given(st.integers(0, 999), st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_any_reply_has_a_verdict(status: int, body: bytes, coding: str, wish: str) -> None:
    """Any status, bytes and headers end in a response or in one of the worker's errors."""
    reply = Reply(status, {"Content-Encoding": coding, "Retry-After": wish}, body)
    with contextlib.suppress(CallError):
        judged(reply, Response.ref, CODES, lambda: REDACTOR)
