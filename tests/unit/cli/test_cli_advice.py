"""What `callworker webhooks test` tells an operator to do."""

from __future__ import annotations

from typing import Any

import pytest

from worker.cli.webhooks.advice import advice
from worker.delivery.ports import Attempt, AttemptResult
from worker.errors import Cause

REFUSED, UNREACHABLE = AttemptResult.REFUSED, AttemptResult.UNREACHABLE


@pytest.mark.parametrize(
    ("result", "fields", "told"),
    [
        (AttemptResult.DELIVERED, {"status": 204}, ""),
        (REFUSED, {"status": 401}, "callworker webhooks secrets"),
        (REFUSED, {"status": 404}, "correct the url"),
        (REFUSED, {"status": 410}, "disables the endpoint"),
        (REFUSED, {"status": 418}, "only 2xx counts"),
        (REFUSED, {"status": 500}, "the receiver failed"),
        (REFUSED, {"status": 599}, "the receiver failed"),
        (AttemptResult.REDIRECTED, {"status": 301}, "redirects are not followed"),
        (AttemptResult.TIMEOUT, {"cause": Cause.TIMEOUT}, "slow work after the answer"),
        (UNREACHABLE, {"cause": Cause.TLS}, "ca_file"),
        (AttemptResult.GUARDED, {"rule": "port"}, "rule `port` refuses the address: use port 443"),
        (AttemptResult.GUARDED, {"rule": "private"}, "allow_networks"),
        (AttemptResult.PROXY, {"cause": Cause.CONNECT}, "proxy's log"),
    ],
)
def test_advice_fits_what_happened(result: AttemptResult, fields: dict[str, Any], told: str) -> None:
    """A sentence for each answer, cause and rule; nothing where the event was taken."""
    found = advice(Attempt(result, 0.1, **fields))
    assert told in found and bool(found) == bool(told)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_its_advice(cause: Cause) -> None:
    """No cause ends in an error of the command's own."""
    assert advice(Attempt(UNREACHABLE, 0.1, cause=cause))
