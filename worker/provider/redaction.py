"""Foreign text made fit to be published: the provider's words may quote the number, the PIN or the key."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from worker.jobs import Job

MESSAGE_CHARACTERS = 300
MASK = "***"

_KEY_CHARACTERS = 8
"""No key is shorter. Masking a shorter word, as "key" in a trial set-up, would eat ordinary ones."""

# With whatever is neither letter nor digit in between: "(212) 555-5555" is one run.
_DIGIT_RUN = re.compile(r"\d(?:[\W_]*\d)*")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Knows what must not be published of one request. `repr()` shows none of it."""

    numbers: tuple[str, ...] = field(repr=False)
    words: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, job: Job | None, api_key: str) -> Self:
        """For a call's answer; without a job, for an answer that concerns the key alone."""
        numbers = (job.phone.lstrip("0") or job.phone, job.code) if job else ()
        return cls(numbers, (api_key,) if len(api_key) >= _KEY_CHARACTERS else ())

    def publishable(self, text: str, mask: str = MASK) -> str:
        """`text` on one line, without control signs, at most 300 characters, what is secret replaced by `mask`."""
        clean = _one_line(text)
        for word in self.words:
            clean = re.sub(re.escape(word), mask, clean, flags=re.IGNORECASE)
        # Cut last: half a number would no longer be recognised.
        return _DIGIT_RUN.sub(lambda run: self._masked(run[0], mask), clean)[:MESSAGE_CHARACTERS]

    def _masked(self, run: str, mask: str) -> str:
        digits = "".join(str(unicodedata.decimal(sign)) for sign in run if sign.isdecimal())
        return mask if _contains(digits, self.numbers) else run


def _contains(digits: str, numbers: Iterable[str]) -> bool:
    return any(number in digits for number in numbers)


def _one_line(text: str) -> str:
    """Compatibility forms made plain, as full-width digits; control, format and lone surrogate signs made spaces."""
    plain = unicodedata.normalize("NFKC", text)
    return " ".join("".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in plain).split())
