"""Reads a list of waits, as in `5s 5m 2h`."""

from __future__ import annotations

import re

MOST_WAITS, MAX_WAIT_SECONDS = 20, 48 * 3600

_WAIT = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def waits(text: str) -> tuple[float, ...]:
    """Return the waits in seconds. Raises ValueError that says what is allowed."""
    rule = f"allowed is 1 to {MOST_WAITS} waits such as 5s 30m 2h 1d, each from 1s to {MAX_WAIT_SECONDS // 3600}h"
    found = [_WAIT.fullmatch(word) for word in text.split()]
    if not all(found):
        raise ValueError(f"is not a list of waits; {rule}")
    seconds = tuple(float(match[1]) * _SECONDS[match[2]] for match in found if match)
    if not 1 <= len(seconds) <= MOST_WAITS or not all(1 <= each <= MAX_WAIT_SECONDS for each in seconds):
        raise ValueError(f"is out of range; {rule}")
    return seconds
