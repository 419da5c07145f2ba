"""What may be unusual about an answer that was understood."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Oddity(StrEnum):
    """One unusual thing; also a value of the metrics' label `oddity`. A connection with an odd answer is not kept."""

    HEAD = "head"
    """Interim answers or blank lines came before it, or its length was given in an unusual way."""
    SURPLUS = "surplus"
    """More bytes came than the answer has."""
    CODING = "coding"
    """Its content coding is not the one that its header names."""
    REPAIRED = "repaired"
    """It is not valid JSON or XML, or its content is in a wrong place or under a wrong name."""
    REF = "ref"
    """Its ref is not 32 letters and digits, or contains the key or the number, which are masked in the event."""


Note = Callable[[Oddity], object]
"""Is called with each oddity."""


def unheard(_: Oddity) -> None:
    """Ignore an oddity."""
