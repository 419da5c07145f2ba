"""The spellings in which somebody else's words may quote a number, PIN or key, undone.

Source of the list: what web frameworks and their logs do to the fields of a request that they show.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

MAX_ROUNDS = 3
"""How often a text may have been encoded, one coding over the other."""

MAX_CHARACTERS = 2048
"""That are looked at. What is longer was not written for people; and one sign can stand for eighteen."""

TOKEN = re.compile(r"[A-Za-z0-9+/_-]{4,}+")
"""What may be a text in base64 or hexadecimal."""

PAIRS = re.compile(r"\b[0-9A-Fa-f]{2}(?:[ :][0-9A-Fa-f]{2}){2,}+\b")
"""Bytes in hexadecimal, one by one."""

_ESCAPE = re.compile(r"(?<!\\)\\++(?:(?:u00|x)([0-9A-Fa-f]{2})|([0-3][0-7]{2}))")
_QUOTED_PRINTABLE = re.compile(r"=([0-9A-F]{2})")
_SEPARATORS = re.compile(r"[/+_-]")


def plain(text: str) -> str:
    """One line. Compatibility forms and the digits of other scripts are made plain; control, format and lone surrogate
    signs become spaces."""
    signs = unicodedata.normalize("NFKC", text)[:MAX_CHARACTERS]
    return " ".join("".join(map(_plain, signs)).split())


def _plain(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return " " if unicodedata.category(sign)[0] in "CZ" else sign


def unescaped(text: str, *, quoted_printable: bool = False) -> str:
    """Without the escapes of URLs, HTML, JSON and Python; or without these and those of quoted-printable.

    Apart, because in `k=%32%31` the latter take the digits behind the sign of equality for one of theirs.
    """
    for _ in range(MAX_ROUNDS):
        before, text = text, _ESCAPE.sub(_character, unquote(html.unescape(text)))
        if text == before:
            break
    # Once: what it has undone may stand behind a sign of equality too.
    return plain(_QUOTED_PRINTABLE.sub(_quoted_sign, text) if quoted_printable else text)


def meanings(token: str) -> Iterator[str]:
    """What a token, or a part of it, would mean in base64 and in hexadecimal; mostly nonsense."""
    for part in {token, *_SEPARATORS.split(token)}:
        standard = part.replace("-", "+").replace("_", "/")
        with suppress(ValueError):
            yield base64.b64decode(standard + "=" * (-len(standard) % 4)).decode("latin-1")
        with suppress(ValueError):
            yield bytes.fromhex(part.removeprefix("0x").replace(":", " ")).decode("latin-1")


def _quoted_sign(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[2], 8) if escape[2] else int(escape[1], 16))
