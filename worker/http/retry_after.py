"""The Retry-After header (RFC 9110, section 10.2.3): seconds, or an HTTP date."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(header: str | None, now: datetime, most_seconds: float) -> float | None:
    """Return how long the other side asks to wait, from 0 to `most_seconds`; None if there is no readable header.

    Known weakness: a date is compared with `now` on this machine's clock, not on the other side's.
    """
    text = (header or "").strip()
    # float(), not int(), so that a number of thousands of digits is read too.
    seconds = float(text) if re.fullmatch(r"[0-9]+", text) else _until(text, now)
    return None if seconds is None else min(max(seconds, 0.0), most_seconds)


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # An HTTP date is always in UTC, whether or not its zone is spelled in a form that Python knows.
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
