"""Hides values after a label, as in `code=4321`, `"phone": "2125550142"` or `<key>…</key>`.

Time and memory are linear: a label is found without its value, the value is read once, and if it is not a value, the
search continues after the label. Text longer than `MAX_INNOCENT` always counts as a value, so little is read again.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from worker.core.jobs import MASKED_DIGITS, mask

REDACTED = "[redacted]"

MAX_INNOCENT = 128
"""Characters. Anything longer after a label is hidden, even if it could be prose or source code."""

MAX_LABELS = 1000
"""Labels in one text. The text after that many is left out."""

MAX_NAME = 64
"""Characters at the end of a field's name that are looked at, and of a phone number."""


class Label(Enum):
    """The kind of secret that a field's name announces."""

    PHONE = auto()
    PIN = auto()
    SECRET = auto()


_PHONE = r"phone(?:[_-]?(?:number|no))?|msisdn|mobile"
_PIN = r"pin|otp|passcode|(?:pin|verification|verify|confirmation|security|access|auth)[_-]?code"
_CREDENTIAL = r"key|secrets?|password|passwd|passphrase|token"
_LABELS = {
    Label.PHONE: re.compile(rf"(?:\w*_)?(?:{_PHONE})"),
    Label.PIN: re.compile(rf"code|(?:\w*_)?(?:{_PIN})"),
    Label.SECRET: re.compile(
        rf"(?:\w*_)?(?:{_CREDENTIAL}|authorization)|apikey|cookie|input_value|(?:kw)?args(?:repr)?|body"
    ),
}
_HARMLESS_LABELS = frozenset({"routing_key", "binding_key", "redis_key"})
_ERROR_CODE = re.compile(r"EXPIRED|[A-Z]{2,32}+(?:_[A-Z]{1,32}+)++")
_LONG_KEY = 16

QUOTE = r"""\\{0,64}+(?:["']|%22|%27|&quot;)"""
"""A quote, also escaped in JSON, a URL or HTML."""
_STEMS = ("phone", "msisdn", "mobile", "pin", "otp", "code", "key", "secret", "pass", "token", "cookie")
"""Words of which each label contains one: looking for a word costs far less than for a pattern."""
# Atomic groups, although possessive quantifiers are simpler: before Python 3.11.5 these skip lookaheads (gh-106052).
_LABELLED = re.compile(
    rf"""
    (?:                                             # A label begins
        (?<![A-Za-z0-9_])(?<![A-Za-z0-9]-)          # where a word begins,
        | (?<=\\[nrt])                              # after an escaped line break or tab,
        | (?<=%2[2670])                             # or after a quote, an ampersand or a space in a URL.
    )
    (?P<name>
        (?:[A-Za-z0-9_-]{{0,40}}[_-])?              # any prefix: my_pin
        (?:{_PHONE}|{_PIN}|{_CREDENTIAL})
        | code | apikey | cookie
    )
    (?:
        {QUOTE} \s*+                                # "code": 1  'code' => 1  "code"=1  %22code%22%3A1
        (?P<quoted> : | => | = | %3A
            | ,(?=[\sbu]{{0,8}}+\\{{0,64}}+["'][^"',]{{0,200}}[0-9])    # ("code", "4321"): a pair that has a digit
        )
        | (?P<bare> \s*+(?:==?|%3D) | : | > )       # code=1  code = 1  code%3D1  code: 1  <code>1
    )
    (?:\s|%20|\+)*+
    (?:[bu]?(?P<q>{QUOTE}))?                        # The value may be quoted, also as bytes: b'…'
    (?P<value>
        (?(q)
            (?>(?:(?!(?P=q))(?:\\.|.))*)            # quoted: all up to the same quote, with escapes
            | (?:
                \[(?!redacted\])[^\]]*+\]?          # a list, unless it was hidden already
                | \([^)]*+\)?                       # a tuple
                | \{{[^}}]*+\}}?                    # an object, in braces
                | (?>(?:                            # one word, up to the end of a field in a form or a URL
                    [^\s&,;"'<>()\[\]{{}}%]++
                    | %(?!2[26C]|7D)
                )+)
            )
        )
    )
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def hide_labelled(text: str) -> str:
    """Hide the values after labels in `text`."""
    words = text.lower()
    if not any(word in words for word in _STEMS):
        return text
    pieces: list[str] = []
    at = 0
    while match := _LABELLED.search(text, at):
        if len(pieces) > 2 * MAX_LABELS:
            return f"{''.join(pieces)} {REDACTED}"
        hide = _is_value(match)
        pieces.append(text[at : match.start("value")])
        if hide is not None:
            pieces.append(hidden(hide, match["value"]))
        at = match.end() if hide is not None else match.start("value")
    return "".join(pieces) + text[at:] if at else text


@lru_cache(maxsize=1024)
def _label(name: str) -> Label | None:
    name = name.strip().lower().replace("-", "_")
    if name in _HARMLESS_LABELS:
        return None
    return next((kind for kind, names in _LABELS.items() if names.fullmatch(name)), None)


def label(name: str) -> Label | None:
    """The kind of secret in a field called `name`, or None if the name is harmless."""
    return _label(name[-MAX_NAME:])


def hidden(kind: Label, value: str) -> str:
    """The text to show instead of a `value` with a label of this kind."""
    if kind is Label.PHONE:
        return masked(value)
    return value if kind is Label.PIN and _ERROR_CODE.fullmatch(value) else REDACTED


def masked(value: str) -> str:
    """Reduce a phone number in any spelling to its last four digits. If it is too short or too long, hide all of it."""
    if len(value) > MAX_NAME:
        return REDACTED
    if _MASKED.fullmatch(value):
        return value
    digits = _NO_DIGIT.sub("", value)
    return mask(digits) if len(digits) > MASKED_DIGITS else REDACTED


_MASKED = re.compile(rf"\*++[0-9]{{{MASKED_DIGITS}}}")
_NO_DIGIT = re.compile(r"[^0-9]++")
_DIGIT = re.compile(r"\d")


def _is_value(match: re.Match[str]) -> Label | None:
    """The kind of a value to hide, or None for similar source code (`code=code`) and prose (`unknown key: color`)."""
    value, kind = match["value"], label(match["name"])
    if not value or value == REDACTED:
        return None
    if len(value) > MAX_INNOCENT:
        return kind or Label.SECRET
    return kind if kind is not None and _says_something(match["name"].lower(), value, match) else None


def _says_something(name: str, value: str, match: re.Match[str]) -> bool:
    digits = _DIGIT.search(value) is not None
    if match["quoted"] == ",":
        return digits
    if match["bare"] == ":" and name == "key":
        return len(value) >= _LONG_KEY
    if match["bare"] == ":" and name == "code":
        return False  # "error code: 503" or a PIN: the search for spoken PINs decides.
    bare_word = match["bare"] is not None and match["q"] is None
    if bare_word and label(name) is not Label.SECRET:
        return digits
    return not (bare_word and value.lower().endswith(name))
