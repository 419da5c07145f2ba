"""Reads times and spans of time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from worker.configuration.credentials import NotACredential
from worker.configuration.signing_secrets import moment

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str, option: str) -> timedelta:
    """Read a span such as `90s`, `10m`, `24h` or `7d`. Raises UsageError, which names the option."""
    found = _span(text)
    if found is None:
        raise click.UsageError(f"{option} must be a span such as 90s, 10m, 24h or 7d")
    return found


def past(text: str, option: str) -> datetime:
    """Read a time before now: a span back from now, or RFC 3339. Raises UsageError, which names the option."""
    return _moment(text, option, -1)


def future(text: str, option: str) -> datetime:
    """Read a time after now: a span from now, or RFC 3339. Raises UsageError, which names the option."""
    return _moment(text, option, 1)


def _moment(text: str, option: str, sign: int) -> datetime:
    now, found = datetime.now(UTC), _span(text)
    try:
        at = moment(text) if found is None else now + sign * found
    except (NotACredential, OverflowError):
        raise click.UsageError(
            f"{option} must be a span such as 24h or 7d, or a time such as 2026-12-01T09:00:00Z"
        ) from None
    if (at - now) * sign <= timedelta(0):
        raise click.UsageError(f"{option} must be a time in the {'future' if sign > 0 else 'past'}")
    return at


def _span(text: str) -> timedelta | None:
    found = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
