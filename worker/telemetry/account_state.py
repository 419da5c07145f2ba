"""The metrics of the accounts that describe all workers together, from what the store counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from worker.core.figures import AccountCount
from worker.telemetry.labels import OPERATOR_HOLD, OTHER
from worker.telemetry.metrics import Metrics
from worker.telemetry.shared_metrics import SharedMetric, filled

Rows = dict[tuple[str, ...], float]


def of_accounts(
    metrics: Metrics, counts: Sequence[AccountCount], ttls: Mapping[str, float]
) -> Iterator[SharedMetric]:
    """Yield the metrics. An account of which there is nothing to tell has no series.

    Accounts that share a label are added up; the oldest of their jobs counts. `ttls` has the `ttl` of each account in
    seconds.
    """
    told = [one for one in counts if any(one.waiting.values()) or one.hold is not None or one.pending]
    shares = {one.name: one.oldest_seconds / ttls[one.name] for one in told if one.name in ttls}
    labels = _labels(metrics, told, shares)
    waiting, pending, oldest, ratios, held = Rows(), Rows(), Rows(), Rows(), Rows()
    for one in told:
        label = labels[one.name]
        for reason, number in one.waiting.items():
            if number:
                waiting[label, reason.value] = waiting.get((label, reason.value), 0.0) + number
        if one.pending:
            pending[label,] = pending.get((label,), 0.0) + one.pending
        _raise(oldest, (label,), one.oldest_seconds)
        _raise(ratios, (label,), shares.get(one.name, 0.0))
        if one.hold is not None:
            held[label, _hold_reason(metrics, one.hold)] = 1.0
    yield filled("jobs_waiting", waiting.items())
    yield filled("oldest_waiting_seconds", oldest.items())
    yield filled("oldest_waiting_ratio", ratios.items())
    yield filled("account_held", held.items())
    yield filled("webhook_pending", pending.items())


def _labels(metrics: Metrics, told: Sequence[AccountCount], shares: Mapping[str, float]) -> dict[str, str]:
    """Return the label of each account. Of those without a name of their own, the ones most in need have it here."""
    labels = {one.name: metrics.account(one.name) for one in told}
    folded = [one for one in told if labels[one.name] == OTHER]
    needs = {one.name: (one.hold is not None, shares.get(one.name, 0.0)) for one in folded}
    most = sorted((name for name in needs if any(needs[name])), key=lambda name: needs[name], reverse=True)
    return labels | {name: name for name in most[: metrics.accounts.most]}


def _hold_reason(metrics: Metrics, code: str) -> str:
    """Return the label for a hold. An operator's hold is `operator`, which the operator's own words may follow."""
    return OPERATOR_HOLD if code.partition(":")[0] == OPERATOR_HOLD else metrics.code(code)


def _raise(rows: Rows, labels: tuple[str, ...], number: float) -> None:
    if number:
        rows[labels] = max(rows.get(labels, 0.0), number)
