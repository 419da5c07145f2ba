"""The label values of the metrics that no other room defines.

The others are enumerations beside what they describe: `Source` and `Reason` in `core`, `CallResult` in
`provider`, `AttemptResult` in `delivery`, and `Oddity` in `http`.
"""

from __future__ import annotations

from enum import StrEnum

from worker.core.events import Status
from worker.errors import CallError, Redial, Retry

UNKNOWN_ACCOUNT = "(unknown)"
OTHER = "other"
"""The accounts that have no series of their own; also endpoints that the accounts file does not have."""
UNKNOWN_CODE = "unknown"
PROVIDER_CODES = ("INVALID_TELEPHONE", "INVALID_KEY", "NO_POINTS", "INVALID_TELEREFERENCE")
"""The provider's codes that are documented or were observed. An operator's table may add some."""

CANCELED_STATUS = "canceled"
ENDS = (*Status, CANCELED_STATUS)
"""How jobs end. A canceled job ends as `expired`, but nothing is wrong with its account or the workers."""

OPERATOR_HOLD = "operator"
HOLD_REASONS = ("INVALID_KEY", "NO_POINTS", OPERATOR_HOLD, UNKNOWN_CODE)
"""The usual reasons of a hold: the codes of class "account", or an operator's command."""

OTHER_REASON = "other"
DISABLED_REASONS = ("gone", "asked", "failing", "operator")
"""Why an endpoint is disabled."""
GUARD = "guard"
GIVEN_UP_REASONS = ("attempts_spent", GUARD, "proxy", "disabled", OTHER_REASON)
"""Why a delivery is given up. All rules of the guard, `guard_RULE`, are one."""


class RetryReason(StrEnum):
    """The reason of a further request. PROVIDER_WISH means that the provider said how long to wait."""

    NOT_RUNG = "not_rung"
    PERHAPS_RUNG = "perhaps_rung"
    PROVIDER_WISH = "provider_wish"

    @classmethod
    def of(cls, error: CallError) -> RetryReason:
        if isinstance(error, Redial):
            return cls.PERHAPS_RUNG
        wished = isinstance(error, Retry) and error.retry_after_seconds is not None
        return cls.PROVIDER_WISH if wished else cls.NOT_RUNG
