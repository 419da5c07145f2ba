"""Writes the dashboards to the folder that is named: `python -m ops.dashboards ops/grafana/dashboards`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.dashboards import account, capacity, overview, webhooks, worker

DASHBOARDS = {
    "overview": overview.dashboard,
    "account": account.dashboard,
    "worker": worker.dashboard,
    "capacity": capacity.dashboard,
    "webhooks": webhooks.dashboard,
}


def written() -> dict[str, str]:
    """Each dashboard's text, by the name of its file."""
    return {
        f"{name}.json": json.dumps(make(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for name, make in DASHBOARDS.items()
    }


def main(folder: Path) -> None:
    for name, text in written().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
