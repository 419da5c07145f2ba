"""The Prometheus that has the data."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
SCRAPE_SECONDS = 15.0


@dataclass(frozen=True)
class Series:
    """A series' labels and its values by Unix time; NaN where it has none."""

    labels: dict[str, str]
    points: dict[float, float]

    @property
    def last(self) -> float:
        """The newest value that is a number, or NaN."""
        numbers = [value for value in self.points.values() if not math.isnan(value)]
        return numbers[-1] if numbers else math.nan


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus at `url`. All methods raise OSError if it does not answer or refuses a query."""

    url: str

    def at(self, query: str, moment: float) -> list[Series]:
        """The query's series at one moment (Unix time)."""
        found = self._get("query", query=query, time=moment)["result"]
        return [_series(one["metric"], [one["value"]]) for one in found]

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """The query's series from `start` to `end`, one value each `step` seconds."""
        found = self._get("query_range", query=query, start=start, end=end, step=step)["result"]
        return [_series(one["metric"], one["values"]) for one in found]

    def scrape_seconds(self) -> float:
        """How often workers are scraped; a scrape job of them is the one named callworker."""
        targets = self._get("targets", state="active")["activeTargets"]
        found = [one.get("scrapeInterval", "") for one in targets if one["labels"].get("job") == "callworker"]
        return seconds(found[0]) if found and found[0] else SCRAPE_SECONDS

    def _get(self, name: str, **arguments: object) -> Any:
        address = f"{self.url.rstrip('/')}/api/v1/{name}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310
            return json.load(answer)["data"]


def seconds(duration: str) -> float:
    """Return how long a duration of Prometheus such as 1h30m is.

    Raises ValueError for any other text.
    """
    parts = re.findall(r"(\d+)(ms|[smhd])", duration)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration such as 15s, 30m or 1h30m")
    return float(sum(int(number) * SECONDS[unit] for number, unit in parts))


def _series(labels: dict[str, str], values: list[tuple[float, str]]) -> Series:
    return Series(labels, {float(moment): float(value) for moment, value in values})
