"""Cleans the provider's texts before they are published: they may quote the number, the PIN or the key.

These are found in other digits, grouped in any way, backwards, in another case, escaped as in URLs, HTML, JSON or
Python, and in base64 or hexadecimal, and also under one escape on top of another.

Known weakness: digits spelled as words ("four three two one"), digits with letters between them, base32, base64 twice,
bits, encrypted or compressed text, a part of a key, and a key shorter than eight characters are not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from worker.core.jobs import Job
from worker.provider.spellings import MAX_CHARACTERS, PAIRS, TOKEN, meanings, plain, unescaped

MAX_MESSAGE_CHARACTERS = 300
MASK = "***"

CUT_OFF = 128
"""Characters to drop at the end of a text that was cut: half a number could be there."""

_MIN_KEY = 8
"""Characters. Real keys are longer; masking a shorter one, as "key" in a trial, would hide ordinary words."""

_MIN_NUMBER = 7
"""Digits. A shorter number may be part of a ref by chance."""

# Anything but letters may separate the digits: "(212) 555-5555" is one run.
_DIGIT_RUN = re.compile(r"\d(?:[\W_]*+\d)*+")


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Knows what must not be published of one request. `repr()` does not show it."""

    numbers: tuple[str, ...] = field(repr=False)
    key: str = field(repr=False)

    @classmethod
    def of(cls, job: Job | None, api_key: str) -> Self:
        """Make a cleaner for a call's answer, or without a job for an answer that concerns only the key."""
        numbers = (job.phone.lstrip("0") or job.phone, job.code) if job else ()
        return cls(numbers, api_key if len(api_key) >= _MIN_KEY else "")

    def publishable(self, text: str, mask: str = MASK) -> str:
        """Clean `text`: one line of at most 300 characters without control signs, with secrets replaced by `mask`."""
        read = plain(text[:MAX_CHARACTERS])
        shown = self._masked(read, mask)
        for quoted_printable in (False, True):
            reading = unescaped(shown, quoted_printable=quoted_printable)
            masked = self._masked(reading, mask)
            shown = masked if masked != reading else shown
        # Cut last: half a number would not be recognised.
        whole = max(len(text), len(read)) < MAX_CHARACTERS
        return (shown if whole else shown[:-CUT_OFF])[:MAX_MESSAGE_CHARACTERS]

    def is_quoted_in(self, ref: str) -> bool:
        """Tell whether a ref holds the key or the phone number, and so is not a ref."""
        said, key = ref.lower(), self.key.lower()
        numbers = (number for number in self.numbers if len(number) >= _MIN_NUMBER)
        return (bool(key) and (key in said or key[::-1] in said)) or any(number in said for number in numbers)

    def _masked(self, text: str, mask: str) -> str:
        for coded in (PAIRS, TOKEN):
            text = coded.sub(lambda token: mask if self._is_coded(token[0]) else token[0], text)
        if self.key:
            text = _spelled(self.key).sub(mask, text)
        return _DIGIT_RUN.sub(lambda run: mask if self._holds_number(run[0]) else run[0], text)

    def _is_coded(self, token: str) -> bool:
        return any(self._tells(meaning) for meaning in meanings(token)) or self._is_coded_number(token)

    def _tells(self, text: str) -> bool:
        return self._holds_key(text) or any(map(self._holds_number, _DIGIT_RUN.findall(text)))

    def _holds_key(self, text: str) -> bool:
        return bool(self.key) and _spelled(self.key).search(text) is not None

    def _holds_number(self, run: str) -> bool:
        digits = "".join(filter(str.isdigit, run))
        return any(number in digits or number[::-1] in digits for number in self.numbers)

    def _is_coded_number(self, token: str) -> bool:
        """Tell whether the token is the number itself in hexadecimal."""
        hexadecimal = token.lower().removeprefix("0x").lstrip("0")
        return any(hexadecimal == f"{int(number):x}" for number in self.numbers if len(number) >= _MIN_NUMBER)


@lru_cache(maxsize=64)
def _spelled(key: str) -> re.Pattern[str]:
    """A pattern for the key in any case, forwards or backwards, grouped in any way."""
    ways = (r"[\W_]*".join(map(re.escape, way)) for way in (key, key[::-1]))
    return re.compile("|".join(ways), re.IGNORECASE)
