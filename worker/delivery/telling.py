"""Tells log and metrics what became of a delivery, once that is on record."""

from __future__ import annotations

from typing import Any

import structlog

from worker.delivery.directory import Directory
from worker.delivery.ports import Attempt, Conclusion, DeliveryWatch, Effect, Verdict

_QUIET = ("slot", "stopping", "late", "behind")
"""Why a delivery was returned as a matter of course."""


class Telling:
    """Writes a line for each conclusion, and one for each thing that it changed at its endpoint.

    No line has a body, an address or a secret. `delivery_attempt` is the number of the attempt; `attempt` in other
    lines is that of a call.
    """

    def __init__(self, directory: Directory, watch: DeliveryWatch) -> None:
        self._directory, self._watch = directory, watch
        # Bound once: structlog's lazy one costs as much, each time, as a line that is not written.
        self._log = structlog.get_logger(__name__).bind()

    def tell(self, conclusion: Conclusion, effect: Effect) -> None:
        """Report a conclusion that the store has answered with `effect`."""
        endpoint = self._directory.label(conclusion.delivery.destination)
        self._watch.webhook_concluded(endpoint, conclusion, effect)
        if effect.recorded:
            self._conclusion(conclusion, _fields(conclusion, endpoint))
            self._endpoint(effect, {"account": conclusion.delivery.account, "endpoint": endpoint})
        else:
            self._log.warning("webhook.lease_lost", **_fields(conclusion, endpoint))

    def _conclusion(self, conclusion: Conclusion, fields: dict[str, Any]) -> None:
        wait_seconds = round(conclusion.wait_seconds, 1)
        match conclusion.verdict:
            case Verdict.DELIVERED:
                self._log.info("webhook.delivered", **fields)
            case Verdict.AGAIN:
                self._log.warning("webhook.failed", wait_seconds=wait_seconds, **fields)
            case Verdict.GIVEN_UP:
                self._log.error("webhook.given_up", reason=conclusion.why, **fields)
            case Verdict.RETURNED:
                write = self._log.debug if conclusion.why in _QUIET else self._log.warning
                write("webhook.returned", reason=conclusion.why, wait_seconds=wait_seconds, **fields)
            case Verdict.UNKNOWN:
                self._log.warning("webhook.endpoint_unknown", **fields)

    def _endpoint(self, effect: Effect, fields: dict[str, Any]) -> None:
        if effect.opened_seconds is not None:
            self._log.warning(
                "webhook.breaker_opened",
                seconds=round(effect.opened_seconds),
                failures=effect.failures,
                **fields,
            )
        if effect.closed:
            self._log.info("webhook.breaker_closed", **fields)
        if effect.warned:
            self._log.warning("webhook.endpoint_failing", failures=effect.failures, **fields)
        if effect.disabled:
            self._log.error("webhook.endpoint_disabled", reason=effect.disabled, **fields)


def _fields(conclusion: Conclusion, endpoint: str) -> dict[str, Any]:
    delivery = conclusion.delivery
    fields = {
        "account": delivery.account,
        "endpoint": endpoint,
        "job_id": delivery.job_id,
        "event_id": delivery.event_id,
        "sequence": delivery.sequence,
        "delivery_attempt": delivery.attempt,
    }
    return fields | _of_attempt(conclusion.attempt) if conclusion.attempt else fields


def _of_attempt(attempt: Attempt) -> dict[str, Any]:
    """Return how the attempt ended, and the cause if no answer came."""
    fields = {
        "result": attempt.result.value,
        "status": attempt.status,
        "seconds": round(attempt.seconds, 3),
    }
    if attempt.cause is not None:
        fields |= {"cause": attempt.cause.value, "problem": attempt.problem}
    return fields
