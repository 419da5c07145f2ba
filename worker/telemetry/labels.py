"""The closed sets of values that metrics' labels take, and which of them a fact belongs to."""

from __future__ import annotations

from enum import StrEnum

from worker.errors import CallError, Redial, Retry

UNKNOWN_ACCOUNT = "(unknown)"
UNKNOWN_CODE = "unknown"
PROVIDER_CODES = ("INVALID_TELEPHONE", "INVALID_KEY", "NO_POINTS", "INVALID_TELEREFERENCE")
"""The provider's codes that are documented or were seen; an operator's table of codes may add some."""

OPERATOR_HOLD = "operator"
HOLD_REASONS = ("INVALID_KEY", "NO_POINTS", OPERATOR_HOLD, UNKNOWN_CODE)
"""Why accounts usually are held: the provider's code, or an operator's word."""


class RetryReason(StrEnum):
    """Why a further request follows; PROVIDER_WISH: it said when."""

    NOT_RUNG = "not_rung"
    PERHAPS_RUNG = "perhaps_rung"
    PROVIDER_WISH = "provider_wish"

    @classmethod
    def of(cls, error: CallError) -> RetryReason:
        if isinstance(error, Redial):
            return cls.PERHAPS_RUNG
        wished = isinstance(error, Retry) and error.retry_after_seconds is not None
        return cls.PROVIDER_WISH if wished else cls.NOT_RUNG
