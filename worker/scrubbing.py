"""Takes PINs, phone numbers, keys and passwords out of text, by the labels and shapes that they come in.

What is found, in free text, JSON, Python's repr, form bodies, URLs and XML:

    scheme://user:pass@          the password
    key= "token": 'secret':      the value after the label, whatever it is
    code= "code": <pin> PIN is   the value; a provider's error code (`INVALID_KEY`) stays
    phone= "phone":              all but the last four digits
    7 to 15 digits in a row      as a phone number, unless its shape is known to be something else
    args= kwargs= body=          the rest of the line; all of a message that Celery dumps
    whsec_…, Bearer …, base64 of JSON, pickles

Known weakness: a PIN that stands alone ("1234"), a number shorter than seven digits without a label, one written
with spaces and no plus sign, and a secret in a URL's path look like anything else and stay. Digits that are not a
phone number (a Unix time in a sentence) are masked all the same.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from worker.jobs import MASKED_DIGITS, mask

REDACTED = "[redacted]"


class Label(Enum):
    """What a name says of its value."""

    PHONE = auto()
    PIN = auto()
    SECRET = auto()


_LABELS = {
    Label.PHONE: re.compile(r"(?:\w*_)?phone"),
    Label.PIN: re.compile(r"code|(?:\w*_)?pin"),
    Label.SECRET: re.compile(
        r"(?:\w*_)?(?:key|secrets?|password|passwd|token|authorization)|apikey|cookie"
        r"|input_value|(?:kw)?args(?:repr)?|body"
    ),
}
_HARMLESS_LABELS = frozenset({"routing_key", "binding_key", "redis_key"})
_ERROR_CODE = re.compile(r"EXPIRED|[A-Z]{2,}(?:_[A-Z]+)+")
_LONG_KEY = 16

_QUOTE = r"""\\*(?:["']|%22|%27|&quot;)"""
_START = r"(?:(?<![A-Za-z0-9_])(?<![A-Za-z0-9]-)|(?<=\\[nrt])|(?<=%2[2670]))"
_NAME = r"(?:[A-Za-z0-9_-]{0,40}[_-])?(?:phone|pin|key|secrets?|password|passwd|token)|code|apikey|cookie"
_LABELLED = re.compile(
    rf"(?P<lead>{_START}(?P<name>{_NAME})"
    rf"(?:{_QUOTE}\s*(?P<quoted>:|=>|=|,(?=[\sbu]*\\*[\"'][^\"',]*[0-9])|%3A)|(?P<bare>\s*(?:==?|%3D)|:|>))(?:\s|%20|\+)*"
    rf"(?:[bu]?(?P<q>{_QUOTE}))?)"
    r"(?P<value>(?(q)(?:(?!(?P=q))(?:\\.|.))*|"
    r"(?:\[(?!redacted\])[^\]]*\]?|\([^)]*\)?|\{[^}]*\}?|(?:[^\s&,;\"'<>()\[\]{}%]|%(?!2[26C]|7D))+)))",
    re.IGNORECASE | re.DOTALL,
)
_SPOKEN = re.compile(
    r"(?P<before>\b[a-z]+[ -])?\b(?P<lead>(?:code|pin)(?: is|:)?\s{0,3}[\"']?)(?P<value>[0-9]{3,6})(?![0-9])",
    re.IGNORECASE,
)
_OTHER_CODES = frozenset(
    {"status", "exit", "error", "return", "http", "reply", "response", "country", "calling", "area"}
)

_CUTS = (
    (re.compile(r"(://[^\s:/@\"'<>]*:)[^\s/\"'<>]+(?=@)"), r"\g<1>" + REDACTED),
    (
        re.compile(r"((?:contents of the message body was|^[ \t]*body):).*", re.S | re.M | re.I),
        r"\1 " + REDACTED,
    ),
    (re.compile(r"(input_value=).*?(?=, input_type=|$)", re.S), r"\1" + REDACTED),
    (
        re.compile(
            rf"((?<!\w)(?:args|kwargs|argsrepr|kwargsrepr|body)(?:{_QUOTE})?\s*[=:]\s*)(?=b?[\[({{\"'\\])[^\n]+",
            re.I,
        ),
        r"\1" + REDACTED,
    ),
    (re.compile(rf"(authorization(?:{_QUOTE})?\s*[=:]\s*)[^\n]+", re.I), r"\1" + REDACTED),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]*|(?<=Bearer )\S+"), REDACTED),
    (re.compile(r"\\x80\\x0[2-5].*", re.S), REDACTED),
    (re.compile(r"\b(?:eyJ|W1t|W1s|W3s|gA[I-V])[A-Za-z0-9+/_-]{16,}={0,2}"), REDACTED),
)

_DIGITS = re.compile(
    r"(?P<keep>Task [\w.]+\[[\w:-]{1,64}\]"
    r"|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|0x[0-9A-Fa-f]+|[0-9A-Fa-f]{32,}|\bpid[ =:]{1,2}[0-9]{1,7}\b"
    r"|\b1[5-9][0-9]{11}-[0-9]{1,6}\b|\b1[5-9][0-9]{8}\.[0-9]{2,}\b"
    r"|\b[0-9]{1,6}\.[0-9]+(?=(?:e-[0-9]+)? ?(?:s|ms|seconds)\b))"
    r"|(?P<number>\+[0-9][0-9 ()-]{5,24}[0-9]|(?<![0-9])[0-9]{7,15}(?![0-9]))"
)

_WORD = re.compile(r"[^\W_]++")
_CAMEL_CASE = re.compile(r"[a-z]++(?:[A-Z][a-z]++)++")

_WORTH_A_LOOK = re.compile(r"[0-9=:<\"'\\]|Bearer|whsec")


def scrub(text: str) -> str:
    """`text` without what the module's head lists; doing it twice changes nothing more."""
    if not _WORTH_A_LOOK.search(text):
        return text
    for pattern, replacement in _CUTS:
        text = pattern.sub(replacement, text)
    text = _LABELLED.sub(_hide_labelled, text)
    text = _SPOKEN.sub(_hide_spoken, text)
    return _DIGITS.sub(_hide_number, text)


@lru_cache(maxsize=1024)
def label(name: str) -> Label | None:
    """What a field called `name` holds that must be hidden; None where the name is harmless."""
    name = name.strip().lower().replace("-", "_")
    if name in _HARMLESS_LABELS:
        return None
    return next((kind for kind, names in _LABELS.items() if names.fullmatch(name)), None)


def hidden(kind: Label, value: str) -> str:
    """What to show instead of `value`, which stood under a label of this kind."""
    if kind is Label.PHONE:
        return masked(value)
    return value if kind is Label.PIN and _ERROR_CODE.fullmatch(value) else REDACTED


def masked(value: str) -> str:
    """A phone number, however written, as its last four digits; what is too short for that disappears."""
    if re.fullmatch(rf"\*+[0-9]{{{MASKED_DIGITS}}}", value):
        return value
    digits = re.sub(r"[^0-9]", "", value)
    return mask(digits) if len(digits) > MASKED_DIGITS else REDACTED


def starred(text: str) -> str:
    """`text` with stars for each word in which a PIN or number could be spelled: in digits, or in base64.

    What stays is words of letters in one case or camelCase, and what stands between words.
    """
    return _WORD.sub(lambda word: word[0] if _is_harmless(word[0]) else "*" * len(word[0]), text)


def _is_harmless(word: str) -> bool:
    return word.isalpha() and (word.islower() or word.isupper() or _CAMEL_CASE.fullmatch(word) is not None)


def _hide_labelled(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    kind = label(name)
    if not value or value == REDACTED:
        return match[0]
    if kind is None or not _is_value(match):
        return match["lead"] + _LABELLED.sub(_hide_labelled, value)
    return match["lead"] + hidden(kind, value)


def _is_value(match: re.Match[str]) -> bool:
    """Tells a value from source code (`code=code`) and prose (`unknown key: color`) that only look labelled."""
    name, value = match["name"].lower(), match["value"]
    digits = any(sign.isdigit() for sign in value)
    if match["quoted"] == ",":
        return digits
    if match["bare"] == ":" and name == "key":
        return len(value) >= _LONG_KEY
    if match["bare"] == ":" and name == "code":
        return False  # "error code: 503" or a PIN: _hide_spoken tells
    bare_word = match["bare"] is not None and match["q"] is None
    if bare_word and (name == "code" or name.endswith(("phone", "pin"))):
        return digits
    return not (bare_word and value.lower().endswith(name))


def _hide_spoken(match: re.Match[str]) -> str:
    before = match["before"] or ""
    return match[0] if before[:-1].lower() in _OTHER_CODES else before + match["lead"] + REDACTED


def _hide_number(match: re.Match[str]) -> str:
    number = match["number"]
    if number is None or sum(sign.isdigit() for sign in number) < 7:
        return match[0]
    return masked(number)
