"""The metrics of the endpoints that describe all workers together, from what the store counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from worker.core.figures import EndpointCount
from worker.telemetry.labels import DISABLED_REASONS, GIVEN_UP_REASONS, GUARD, OTHER, OTHER_REASON
from worker.telemetry.metrics import Metrics
from worker.telemetry.shared_metrics import SharedMetric, filled

Found = Sequence[EndpointCount]
Groups = Mapping[tuple[str, str], Found]


def of_endpoints(metrics: Metrics, counts: Iterable[EndpointCount]) -> Iterator[SharedMetric]:
    """Yield the metrics. An endpoint of which there is nothing to tell has no series, and neither has what is 0.

    Counts that share a label are put together: an endpoint has several keys, and those of no endpoint share one label.
    """
    groups = _grouped(metrics, [one for one in counts if _has_anything(one)])
    yield _each("webhook_endpoint_pending", groups, lambda found: sum(one.pending for one in found) or None)
    yield _each("webhook_endpoint_oldest_pending_seconds", groups, _oldest)
    yield _each("webhook_endpoint_breaker_open", groups, lambda found: any(map(_is_open, found)))
    yield _each("webhook_endpoint_success_ratio", groups, _success_ratio)
    yield _by_reason("webhook_endpoint_disabled", groups, DISABLED_REASONS, _disabled)
    yield _by_reason("webhook_given_up_total", groups, GIVEN_UP_REASONS, _given_up)


def _has_anything(one: EndpointCount) -> bool:
    return bool(
        one.pending or one.breaker_open or one.disabled or one.delivered or one.failed or one.given_up
    )


def _is_open(one: EndpointCount) -> bool:
    return one.breaker_open


def _grouped(metrics: Metrics, counts: Found) -> Groups:
    groups: dict[tuple[str, str], list[EndpointCount]] = {}
    needy = _in_need(metrics, counts)
    for one in counts:
        key = (one.account, one.endpoint)
        labels = (one.account, metrics.endpoint_name(*key)) if key in needy else metrics.endpoint(*key)
        groups.setdefault(labels, []).append(one)
    return groups


def _in_need(metrics: Metrics, counts: Found) -> set[tuple[str, str]]:
    """Return the endpoints that are told by name though their accounts are not: those in the greatest need."""
    needs = {
        (one.account, one.endpoint): (bool(one.disabled), one.breaker_open, one.oldest_seconds)
        for one in counts
        if metrics.account(one.account) == OTHER
    }
    most = sorted((key for key in needs if any(needs[key])), key=lambda key: needs[key], reverse=True)
    return set(most[: metrics.accounts.most])


def _each(name: str, groups: Groups, value: Callable[[Found], float | None]) -> SharedMetric:
    values = ((labels, value(found)) for labels, found in groups.items())
    return filled(name, ((labels, float(number)) for labels, number in values if number is not None))


def _oldest(found: Found) -> float | None:
    return max(one.oldest_seconds for one in found) or None


def _success_ratio(found: Found) -> float | None:
    delivered = sum(one.delivered for one in found)
    attempts = delivered + sum(one.failed for one in found)
    return delivered / attempts if attempts else None


def _by_reason(
    name: str,
    groups: Groups,
    reasons: Sequence[str],
    told: Callable[[Found], Iterable[tuple[str, int]]],
) -> SharedMetric:
    """Fill a series for each of `reasons` that is told. All other reasons are one."""
    totals: dict[tuple[str, ...], float] = {}
    for labels, found in groups.items():
        for reason, number in told(found):
            key = (*labels, reason if reason in reasons else OTHER_REASON)
            totals[key] = totals.get(key, 0.0) + number
    return filled(name, totals.items())


def _disabled(found: Found) -> Iterable[tuple[str, int]]:
    return ((reason, 1) for reason in dict.fromkeys(one.disabled for one in found) if reason)


def _given_up(found: Found) -> Iterable[tuple[str, int]]:
    return (
        (GUARD if reason.startswith(f"{GUARD}_") else reason, number)
        for one in found
        for reason, number in one.given_up.items()
        if number
    )
