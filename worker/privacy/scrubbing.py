"""Takes PINs, phone numbers, keys and passwords out of text, by their labels and shapes.

This is hidden in free text, JSON, Python's repr, form bodies, URLs and XML:

    scheme://user:pass@          the password; see `worker.privacy.addresses`
    key= "token": 'secret':      any value after the label; see `worker.privacy.labelled`
    code= "code": <pin> PIN is   the value, except a provider's error code (`INVALID_KEY`)
    phone= "phone":              all but the last four digits
    7 to 15 digits in a row      all but the last four, unless the shape is known to be something else
    +1 (212) 555-0142            the same, and 212-555-0142, (212) 555-0142, 212.555.0142
    args= kwargs= body=          the rest of the line; all of a message that Celery dumps
    whsec_…, whsk_…, Bearer …, base64 of JSON, pickles

Time and memory are linear in the length of a text. At most `MAX_TEXT` characters are examined and kept: the decision
about one part must not depend on the amount of other text.

Known weakness: a PIN without a label ("1234"), a number of less than seven digits without a label, a number in the
spelling of another country without a plus sign, and a secret in the path of a URL are not found. Digits that are not a
phone number (a Unix time in a sentence) are masked nevertheless.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from worker.privacy.addresses import mask_addresses
from worker.privacy.labelled import QUOTE, REDACTED, hide_labelled, masked

MAX_TEXT = 16 * 1024
"""Characters."""

CUT_OFF = 512
"""Characters to drop at the end of a text that was cut: half of a secret could be there."""

_CUTS = (
    (
        ("body",),
        re.compile(r"((?:contents of the message body was|^[ \t]*+body):).*+", re.S | re.M | re.I),
        r"\1 " + REDACTED,
    ),
    (("input_value=",), re.compile(r"(input_value=).*?(?=, input_type=|\Z)", re.S), r"\1" + REDACTED),
    (
        ("args", "body"),
        re.compile(
            rf"((?<!\w)(?:args|kwargs|argsrepr|kwargsrepr|body)(?:{QUOTE})?\s*+[=:]\s*+)(?=b?[\[({{\"'\\])[^\n]++",
            re.I,
        ),
        r"\1" + REDACTED,
    ),
    (
        ("authorization",),
        re.compile(rf"(authorization(?:{QUOTE})?\s*+[=:]\s*)[^\n]++", re.I),
        r"\1" + REDACTED,
    ),
    (
        ("whsec_", "whsk_", "bearer "),
        re.compile(r"\bwhs(?:ec|k)_[A-Za-z0-9+/=_-]*+|(?<=Bearer )\S++"),
        REDACTED,
    ),
    (("\\x80",), re.compile(r"\\x80\\x0[2-5].*+", re.S), REDACTED),
    (
        ("eyj", "w1t", "w1s", "w3s", "ga"),
        re.compile(r"\b(?:eyJ|W1t|W1s|W3s|gA[I-V])[A-Za-z0-9+/_-]{16,}+={0,2}"),
        REDACTED,
    ),
)
"""Patterns, each with words in lower case of which the text must hold one: finding a word is faster than a pattern."""

_SPOKEN = re.compile(
    r"(?P<before>\b[a-z]{1,32}+[ -])?\b(?P<lead>(?:code|pin)(?: is|:)?\s{0,3}[\"']?)(?P<value>[0-9]{3,6})(?![0-9])",
    re.IGNORECASE,
)
_OTHER_CODES = frozenset(
    {"status", "exit", "error", "return", "http", "reply", "response", "country", "calling", "area"}
)

_DIGITS = re.compile(
    r"""
    (?P<keep>
        Task\ [\w.]{1,64}+\[[\w:-]{1,64}+\]                             # Task calls.verify[its id]
        | [0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}          # a UUID
        | 0x[0-9A-Fa-f]++ | [0-9A-Fa-f]{32,}+                           # a hexadecimal number or a hash
        | \bpid[ =:]{1,2}[0-9]{1,7}\b | \b[0-9]{1,10}\ bytes\b
        | \b1[5-9][0-9]{11}-[0-9]{1,6}\b                                # the id of a stream's entry
        | \b1[5-9][0-9]{8}\.[0-9]{2,24}+\b                              # a Unix time with a fraction
        | \b[0-9]{1,6}\.[0-9]{1,24}+(?=(?:e-[0-9]{1,3}+)?\ ?(?:s|ms|seconds)\b)     # a duration
    )
    | (?P<number>
        \+[0-9][0-9 ()-]{5,24}[0-9]                                     # +1 (212) 555-0142
        | (?<![0-9])[0-9]{7,15}+(?![0-9])
        | (?<![0-9A-Za-z_.-])(?:\([0-9]{3}\)\ ?|[0-9]{3}[ .-])          # (212) 555-0142 or 212-555-0142
            [0-9]{3}[ .-][0-9]{4}(?![0-9A-Za-z_])
    )
    """,
    re.VERBOSE,
)
"""Numbers that stay, and numbers that are masked if they have seven digits or more."""

_LONG_NUMBER = re.compile(r"[0-9(][0-9 ().-]{5,}+")
_WORD = re.compile(r"[^\W_]++")
_CAMEL_CASE = re.compile(r"[a-z]++(?:[A-Z][a-z]++)++")

_WORTH_A_LOOK = re.compile(r"[0-9=:<\"'\\]|Bearer|whs(?:ec|k)")


def scrub(text: str) -> str:
    """Hide in `text` what the head of this module lists. Doing it twice changes nothing more."""
    return _scrubbed(text) if len(text) <= MAX_TEXT else bounded(text, _scrubbed)


def bounded(text: str, clean: Callable[[str], str]) -> str:
    """Apply `clean` to the first `MAX_TEXT` characters of a longer text, and say that the rest was cut off."""
    return f"{clean(text[:MAX_TEXT])[:-CUT_OFF]} [cut: {len(text) // 1000} thousand characters in all]"


def starred(text: str) -> str:
    """Replace by stars each word that could spell a PIN or a number, in digits or in base64.

    Words of letters in one case or in camelCase stay, and so does everything between words.
    """
    return _WORD.sub(lambda word: word[0] if _is_harmless(word[0]) else "*" * len(word[0]), text)


def _scrubbed(text: str) -> str:
    if not _WORTH_A_LOOK.search(text):
        return text
    text = mask_addresses(text)
    words = text.lower()
    for signs, pattern, replacement in _CUTS:
        if any(sign in words for sign in signs):
            text = pattern.sub(replacement, text)
    text = hide_labelled(text)
    if "code" in words or "pin" in words:
        text = _SPOKEN.sub(_hide_spoken, text)
    return _DIGITS.sub(_hide_number, text) if _LONG_NUMBER.search(text) else text


def _is_harmless(word: str) -> bool:
    return word.isalpha() and (word.islower() or word.isupper() or _CAMEL_CASE.fullmatch(word) is not None)


def _hide_spoken(match: re.Match[str]) -> str:
    before = match["before"] or ""
    return match[0] if before[:-1].lower() in _OTHER_CODES else before + match["lead"] + REDACTED


def _hide_number(match: re.Match[str]) -> str:
    number = match["number"]
    if number is None or sum(sign.isdigit() for sign in number) < 7:
        return match[0]
    return masked(number)
