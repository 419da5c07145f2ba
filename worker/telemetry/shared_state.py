"""The state that all workers share, as metrics read from the store and the broker when Prometheus asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import TypeVar

import structlog
from prometheus_client.core import Metric

from worker.core.records import REASONS, AccountCount, EndpointCount
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.telemetry.endpoint_state import of_endpoints
from worker.telemetry.labels import HOLD_REASONS, OPERATOR_HOLD
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import Patience, Question
from worker.telemetry.shared_metrics import filled

KEPT_SECONDS = 1.0

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class SharedState:
    """A Prometheus collector. Register it in the registry of `metrics`.

    `unpublished` returns the number of events that the results queue has not confirmed, `dead` that of the dead
    letters, `depths` the messages by queue. `ttls` has the `ttl` of each account in seconds.
    `depths` may raise BrokerUnavailable, the others StoreUnavailable. The series that depend on it are then missing
    from the scrape, and `callworker_store_up` or `callworker_broker_up` is 0. Answers and failures are kept for a
    second, however many scrapes there are. A scrape waits for both together for at most 1.5 s; a reader that takes
    longer goes on, and counts as failed until it ends.
    """

    def __init__(
        self,
        metrics: Metrics,
        accounts: Callable[[], Sequence[AccountCount]],
        endpoints: Callable[[], Sequence[EndpointCount]],
        unpublished: Callable[[], int],
        dead: Callable[[], int],
        depths: Callable[[], Mapping[str, int]],
        *,
        ttls: Mapping[str, float] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics, self._ttls = metrics, ttls
        stored = _reading("store", lambda: (accounts(), endpoints(), unpublished(), dead()))
        self._store = Question(stored, KEPT_SECONDS, clock)
        self._broker = Question(_reading("broker", depths), KEPT_SECONDS, clock)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        patience = Patience()
        answers = self._store.begin(), self._broker.begin()
        stored, depths = _in_time(patience, answers[0]), _in_time(patience, answers[1])
        yield filled("store_up", [((), float(stored is not None))])
        yield filled("broker_up", [((), float(depths is not None))])
        if stored is not None:
            yield from self._of_store(*stored)
        if depths is not None:
            yield filled("queue_depth", [((queue,), float(depth)) for queue, depth in depths.items()])

    def _of_store(
        self, counts: Sequence[AccountCount], endpoints: Sequence[EndpointCount], unpublished: int, dead: int
    ) -> Iterator[Metric]:
        yield from self._of_accounts(counts)
        yield from of_endpoints(self._metrics, endpoints)
        yield filled("results_unpublished", [((), float(unpublished))])
        yield filled("dead_letters", [((), float(dead))])

    def _of_accounts(self, counts: Sequence[AccountCount]) -> Iterator[Metric]:
        """Fill the gauges of accounts. Those that share a label are added up; the oldest of their jobs counts."""
        reasons = [(name, str(reason)) for name in self._names() for reason in REASONS]
        waiting = (
            ((self._label(one.name), str(reason)), count)
            for one in counts
            for reason, count in one.waiting.items()
        )
        yield filled("jobs_waiting", _summed(reasons, waiting).items())
        oldest = dict.fromkeys(self._names(), 0.0)
        for one in counts:
            oldest[self._label(one.name)] = max(one.oldest_seconds, oldest[self._label(one.name)])
        yield filled("oldest_waiting_seconds", (((name,), seconds) for name, seconds in oldest.items()))
        shares = {
            one.name: one.oldest_seconds / self._ttls[one.name] for one in counts if one.name in self._ttls
        }
        yield filled("oldest_waiting_ratio", (((name,), share) for name, share in shares.items()))
        held = {
            (self._label(one.name), self._hold_reason(one.hold)) for one in counts if one.hold is not None
        }
        usual = {(name, reason) for name in self._names() for reason in HOLD_REASONS}
        yield filled("account_held", [(pair, float(pair in held)) for pair in sorted(usual | held)])
        pending = (((self._label(one.name),), one.pending) for one in counts)
        yield filled("webhook_pending", _summed([(name,) for name in self._names()], pending).items())

    def _hold_reason(self, code: str) -> str:
        """Return the label for a hold. An operator's hold is `operator`, which the operator's own words may follow."""
        return OPERATOR_HOLD if code.partition(":")[0] == OPERATOR_HOLD else self._metrics.code(code)

    def _names(self) -> list[str]:
        return self._metrics.account_labels()

    def _label(self, name: str) -> str:
        return self._metrics.account(name)


def _in_time(patience: Patience, answer: Future[Answer | None]) -> Answer | None:
    try:
        return patience.result(answer)
    except TimeoutError:
        return None


def _reading(name: str, read: Callable[[], Answer]) -> Callable[[], Answer | None]:
    """Return `read` with None for a failure: a scrape that fails altogether would hide all other metrics too."""

    def ask() -> Answer | None:
        try:
            return read()
        except (StoreUnavailable, BrokerUnavailable):
            return None
        except Exception:
            log.exception("metrics.read_failed", source=name)
            return None

    return ask


def _summed(
    labels: Iterable[tuple[str, ...]], counts: Iterable[tuple[tuple[str, ...], int]]
) -> dict[tuple[str, ...], float]:
    """Return a total for each of `labels`, 0 without counts. Counts are added up, because names may share a label."""
    totals: dict[tuple[str, ...], float] = dict.fromkeys(labels, 0.0)
    for key, count in counts:
        totals[key] = totals.get(key, 0.0) + count
    return totals
