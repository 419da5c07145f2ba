"""Whether all workers dial nothing, as far as they have reported it in `callworker:workers`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

HEARD_MS = 10_000
"""A worker lives if it was heard within this time."""


def all_paused(reports: Mapping[bytes, bytes], now_ms: int) -> bool:
    """Return whether workers live and all of them are paused. `reports` is the hash of the workers' reports.

    A report that cannot be read is left out, as another version may have written it.
    """
    paused = [bool(report.get("paused")) for report in _read(reports) if _lives(report, now_ms)]
    return bool(paused) and all(paused)


def _read(reports: Mapping[bytes, bytes]) -> list[dict[str, Any]]:
    found = []
    for text in reports.values():
        try:
            report = json.loads(text)
        except ValueError:
            continue
        if isinstance(report, dict):
            found.append(report)
    return found


def _lives(report: Mapping[str, Any], now_ms: int) -> bool:
    heard_ms = report.get("heard_ms")
    return isinstance(heard_ms, int | float) and abs(now_ms - heard_ms) <= HEARD_MS
