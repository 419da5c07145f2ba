"""The command: `python -m ops.board overview --prometheus http://127.0.0.1:9090 --range 1h --vars account=acme`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ops.board.asking import Prometheus, seconds
from ops.board.drawing import Page
from ops.board.plotting import Span
from ops.board.reading import read

FOLDER = Path(__file__).parents[1] / "grafana/dashboards"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
POINTS = 160
"""Values of a curve."""


def main() -> None:
    asked = _arguments()
    prometheus = Prometheus(asked.prometheus)
    span, variables = timing(asked.until or time.time(), seconds(asked.range), prometheus.scrape_seconds())
    chosen = dict(each.partition("=")[::2] for each in asked.vars.split(",") if each)
    path = Path(asked.write or f"build/boards/{asked.board}.png")
    Page(read(FOLDER / f"{asked.board}.json", variables | chosen), prometheus, span).save(path)
    print(path)


def timing(until: float, length: float, scrape: float) -> tuple[Span, dict[str, str]]:
    """Return the time that is drawn, and the variables of time as Grafana would fill them, all in seconds."""
    step = max(1.0, round(length / POINTS))
    end = until // step * step
    window = max(step + scrape, 4 * scrape)
    variables = {
        "__rate_interval": f"{window * 1000:.0f}ms",
        "__range": f"{length:.0f}s",
        "__interval": f"{step:.0f}s",
    }
    return Span(end - round(length / step) * step, end, step), variables


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make board", description="Draw a dashboard as a PNG file.")
    parser.add_argument("board", choices=NAMES)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address")
    parser.add_argument("--range", default="1h", help="how far back, such as 30m or 6h")
    parser.add_argument("--until", type=float, help="the Unix time that it ends with; now if it is not given")
    parser.add_argument(
        "--vars", default="", help="the dashboard's variables, such as account=acme,endpoint=orders"
    )
    parser.add_argument("--write", help="the file; build/boards/BOARD.png if it is not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
