"""What may be unusual about an answer that was understood all the same."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Oddity(StrEnum):
    """One thing that was unusual; also the metrics' label `oddity`. A connection on which one came is not kept."""

    HEAD = "head"
    """Interim answers went before it, or its length was told in an unusual way."""
    SURPLUS = "surplus"
    """More bytes came than the answer has."""
    CODING = "coding"
    """Its content coding is not the one that its head names."""
    REPAIRED = "repaired"
    """It is neither JSON nor XML by the letter, or what it holds is not where, or not called as, it should be."""
    REF = "ref"
    """Its ref is not 32 letters and digits, or holds the key or the number, and is published with these masked."""


Note = Callable[[Oddity], object]
"""Hears of each oddity."""


def unheard(_: Oddity) -> None:
    """For those who do not need to know."""
