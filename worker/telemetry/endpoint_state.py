"""The metrics of the endpoints that describe all workers together, from what the store counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from worker.core.records import EndpointCount
from worker.telemetry.labels import DISABLED_REASONS, GIVEN_UP_REASONS, GUARD, OTHER_REASON
from worker.telemetry.metrics import Metrics
from worker.telemetry.shared_metrics import SharedMetric, filled

Found = Sequence[EndpointCount]
Groups = Mapping[tuple[str, str], Found]


def of_endpoints(metrics: Metrics, counts: Iterable[EndpointCount]) -> Iterator[SharedMetric]:
    """Yield the metrics, with a series for each endpoint of the accounts file.

    Counts that share a label are put together: an endpoint has several keys, and those of no endpoint share one label.
    """
    groups = _grouped(metrics, counts)
    yield _each("webhook_endpoint_pending", groups, lambda found: sum(one.pending for one in found))
    yield _each("webhook_endpoint_oldest_pending_seconds", groups, _oldest)
    yield _each("webhook_endpoint_breaker_open", groups, lambda found: any(one.breaker_open for one in found))
    yield _each("webhook_endpoint_success_ratio", groups, _success_ratio)
    yield _by_reason("webhook_endpoint_disabled", groups, DISABLED_REASONS, _disabled)
    yield _by_reason("webhook_given_up_total", groups, GIVEN_UP_REASONS, _given_up)


def _grouped(metrics: Metrics, counts: Iterable[EndpointCount]) -> Groups:
    groups: dict[tuple[str, str], list[EndpointCount]] = {labels: [] for labels in metrics.endpoint_labels()}
    for one in counts:
        groups.setdefault(metrics.endpoint(one.account, one.endpoint), []).append(one)
    return groups


def _each(name: str, groups: Groups, value: Callable[[Found], float]) -> SharedMetric:
    return filled(name, ((labels, float(value(found))) for labels, found in groups.items()))


def _oldest(found: Found) -> float:
    return max((one.oldest_seconds for one in found), default=0.0)


def _success_ratio(found: Found) -> float:
    delivered = sum(one.delivered for one in found)
    attempts = delivered + sum(one.failed for one in found)
    return delivered / attempts if attempts else math.nan


def _by_reason(
    name: str,
    groups: Groups,
    reasons: Sequence[str],
    told: Callable[[Found], Iterable[tuple[str, int]]],
) -> SharedMetric:
    """Fill a series for each of `reasons`. All other reasons are one."""
    rows = []
    for labels, found in groups.items():
        totals = dict.fromkeys(reasons, 0)
        for reason, number in told(found):
            known = reason if reason in totals else OTHER_REASON
            totals[known] = totals.get(known, 0) + number
        rows += [((*labels, reason), float(number)) for reason, number in totals.items()]
    return filled(name, rows)


def _disabled(found: Found) -> Iterable[tuple[str, int]]:
    return ((reason, 1) for reason in {one.disabled for one in found} if reason)


def _given_up(found: Found) -> Iterable[tuple[str, int]]:
    return (
        (GUARD if reason.startswith(f"{GUARD}_") else reason, number)
        for one in found
        for reason, number in one.given_up.items()
    )
