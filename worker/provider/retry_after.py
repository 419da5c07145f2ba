"""The Retry-After header (RFC 9110, section 10.2.3): seconds, or an HTTP date."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_SECONDS = 300.0


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """How long the provider asks to wait, within 0 to 300 s; None when it does not say so intelligibly.

    Known weakness: a date is compared with this machine's clock, `now`, not with the provider's.
    """
    text = (header or "").strip()
    seconds = float(text) if re.fullmatch(r"[0-9]+", text) else _until(text, now)
    return None if seconds is None else min(max(seconds, 0.0), MOST_SECONDS)


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # An HTTP date is always in UTC, whether or not its zone is spelled in a form that Python knows.
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
