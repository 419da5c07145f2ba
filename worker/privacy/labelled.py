"""Values that stand behind a label, as in `code=4321`, `"phone": "2125550142"` or `<key>…</key>`.

Linear in time and memory: a label is found by itself, its value is read once, and where that turns out to be none, the
search goes on behind the label. A value longer than `MAX_INNOCENT` is always taken for one, so that few signs are read
again.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from worker.core.jobs import MASKED_DIGITS, mask

REDACTED = "[redacted]"

MAX_INNOCENT = 128
"""Characters. What is longer and stands behind a label is hidden, even where it could be prose or source code."""

MAX_LABELS = 1000
"""Behind so many labels in one text the rest of it is left out."""

MAX_NAME = 64
"""Characters of a field's name, counted from its end, by which it is judged; and the most of a number."""


class Label(Enum):
    """What a name says of its value."""

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
_START = r"(?:(?<![A-Za-z0-9_])(?<![A-Za-z0-9]-)|(?<=\\[nrt])|(?<=%2[2670]))"
_NAME = rf"(?:[A-Za-z0-9_-]{{0,40}}[_-])?(?:{_PHONE}|{_PIN}|{_CREDENTIAL})|code|apikey|cookie"
_STEMS = ("phone", "msisdn", "mobile", "pin", "otp", "code", "key", "secret", "pass", "token", "cookie")
_PAIR = r",(?=[\sbu]{0,8}+\\{0,64}+[\"'][^\"',]{0,200}[0-9])"
# Atomic groups, where possessive ones would do from Python 3.11.5 on (gh-106052): before, they pass over lookaheads.
_VALUE = (
    r"(?(q)(?>(?:(?!(?P=q))(?:\\.|.))*)|"
    r"(?:\[(?!redacted\])[^\]]*+\]?|\([^)]*+\)?|\{[^}]*+\}?|(?>(?:[^\s&,;\"'<>()\[\]{}%]++|%(?!2[26C]|7D))+)))"
)
_LABELLED = re.compile(
    rf"(?P<lead>{_START}(?P<name>{_NAME})"
    rf"(?:{QUOTE}\s*+(?P<quoted>:|=>|=|{_PAIR}|%3A)|(?P<bare>\s*+(?:==?|%3D)|:|>))(?:\s|%20|\+)*+"
    rf"(?:[bu]?(?P<q>{QUOTE}))?)(?P<value>{_VALUE})",
    re.IGNORECASE | re.DOTALL,
)


def hide_labelled(text: str) -> str:
    """`text` without the values behind labels."""
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
    """What a field called `name` holds that must be hidden; None where the name is harmless."""
    return _label(name[-MAX_NAME:])


def hidden(kind: Label, value: str) -> str:
    """What to show instead of `value`, which stood under a label of this kind."""
    if kind is Label.PHONE:
        return masked(value)
    return value if kind is Label.PIN and _ERROR_CODE.fullmatch(value) else REDACTED


def masked(value: str) -> str:
    """A phone number, however written, as its last four digits; what is too short or long for that disappears."""
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
    """What to hide a value as; None for source code (`code=code`) and prose (`unknown key: color`) that look alike."""
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
        return False  # "error code: 503" or a PIN: the search for spoken PINs tells
    bare_word = match["bare"] is not None and match["q"] is None
    if bare_word and label(name) is not Label.SECRET:
        return digits
    return not (bare_word and value.lower().endswith(name))
