"""Undoes the spellings in which a foreign text may quote a number, PIN or key.

Source of the list: the ways in which web frameworks and their logs show the fields of a request.
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
"""Encodings on top of one another that are undone."""

MAX_CHARACTERS = 2048
"""Characters that are examined. A longer text is not meant for people, and one character can expand to eighteen."""

TOKEN = re.compile(r"[A-Za-z0-9+/_-]{4,}+")
"""A word that may be a text in base64 or hexadecimal."""

PAIRS = re.compile(r"\b[0-9A-Fa-f]{2}(?:[ :][0-9A-Fa-f]{2}){2,}+\b")
"""Bytes in hexadecimal with separators between them."""

_ESCAPE = re.compile(r"(?<!\\)\\++(?:(?:u00|x)([0-9A-Fa-f]{2})|([0-3][0-7]{2}))")
_QUOTED_PRINTABLE = re.compile(r"=([0-9A-F]{2})")
_SEPARATORS = re.compile(r"[/+_-]")


def plain(text: str) -> str:
    """Put the text on one line and make it plain.

    Compatibility forms and digits of other scripts become plain characters; control and format characters and lone
    surrogates become spaces.
    """
    signs = unicodedata.normalize("NFKC", text)[:MAX_CHARACTERS]
    return " ".join("".join(map(_plain, signs)).split())


def _plain(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return " " if unicodedata.category(sign)[0] in "CZ" else sign


def unescaped(text: str, *, quoted_printable: bool = False) -> str:
    """Undo the escapes of URLs, HTML, JSON and Python, and with `quoted_printable` those of quoted-printable too.

    This is a choice because in `k=%32%31` quoted-printable would take the digits after the equals sign for an escape.
    """
    for _ in range(MAX_ROUNDS):
        before, text = text, _ESCAPE.sub(_character, unquote(html.unescape(text)))
        if text == before:
            break
    # Only once: its result may follow an equals sign again.
    return plain(_QUOTED_PRINTABLE.sub(_quoted_sign, text) if quoted_printable else text)


def meanings(token: str) -> Iterator[str]:
    """Yield what a token, or a part of it, would mean in base64 and in hexadecimal. Most results are nonsense."""
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
