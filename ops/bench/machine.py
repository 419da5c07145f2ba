"""Writes the report's file: what was measured, when, and on which machine."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"


def default_path(name: str) -> Path:
    """Return a new file for each run, in a folder that git ignores."""
    return OUT / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


def machine() -> dict[str, Any]:
    """Return the facts about the machine on which the figures depend."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def write(path: Path, options: dict[str, Any], data: dict[str, Any]) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"date": stamp, "machine": machine(), "options": options, **data}
    path.write_text(json.dumps(whole, default=_plain, indent=1) + "\n", encoding="utf-8")


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
