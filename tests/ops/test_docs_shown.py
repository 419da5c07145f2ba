"""What README and pages show as output, or repeat of another file, is what the program and that file have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ops.examples import FENCE, ROOT
from worker.cli import dev
from worker.cli.demo import report
from worker.cli.demo.scenario import plan
from worker.cli.demo.verdict import Verdict
from worker.settings import Settings

TUTORIAL = (ROOT / "docs/tutorial/first-call.md").read_text(encoding="utf-8")
RECEIVE_WEBHOOKS = ROOT / "docs/how-to/receive-webhooks.md"
RECEIVERS = ("python/stdlib.py", "python/asgi.py", "node/receiver.mjs", "php/receiver.php")


def test_tutorial_shows_what_dev_prints() -> None:
    """Word for word, for a user whose name is "you"."""
    folder = Path("/home/you/.local/state/callworker-dev")
    lines = dev._lines(folder, folder / "accounts.toml", "http://127.0.0.1:8809")
    assert "```\n" + "\n".join(lines) + "\n```" in TUTORIAL


def test_tutorial_shows_the_last_line_of_the_demo() -> None:
    """The tutorial shows the demo's last line with the number of jobs, for a demo that took 14 s."""
    seen: Any = SimpleNamespace(seconds=14.0)
    (line,) = report._last_word(len(plan()), seen, Verdict((), (), ()))
    assert f"```\n{str(line).strip()}\n```" in TUTORIAL


@pytest.mark.parametrize("program", RECEIVERS)
def test_page_shows_each_receiver_whole(program: str) -> None:
    """What a reader copies from the page is the program that is tested."""
    shown = [code for _, code in FENCE.findall(RECEIVE_WEBHOOKS.read_text(encoding="utf-8"))]
    assert (ROOT / "examples/receivers" / program).read_text(encoding="utf-8") in shown


def test_page_has_the_schedule_of_the_settings() -> None:
    """The waits between the attempts at a webhook are the default of WEBHOOK_SCHEDULE."""
    units = {"s": "s", "m": "min", "h": "h"}
    given = Settings.model_fields["webhook_schedule"].default.split()
    *first, last = [f"{wait[:-1]} {units[wait[-1]]}" for wait in given]
    assert f"after {', '.join(first)} and {last}," in RECEIVE_WEBHOOKS.read_text(encoding="utf-8")
