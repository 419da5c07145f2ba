"""What README and pages show as output, or repeat of another file, is what the program and that file have."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.ops.examples import ROOT
from worker.cli import dev
from worker.cli.demo import report
from worker.cli.demo.scenario import plan
from worker.cli.demo.verdict import Verdict

TUTORIAL = (ROOT / "docs/tutorial/first-call.md").read_text(encoding="utf-8")
RECEIVE_EVENTS = ROOT / "docs/how-to/receive-events.md"
RECEIVER = ROOT / "examples/receiver.py"


def functions(code: str) -> dict[str, str]:
    """The functions of a program by name, without its formatting."""
    return {node.name: ast.dump(node) for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)}


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


def test_page_verifies_signatures_as_the_receiver_does() -> None:
    """The function that the page shows is the one that the example has, which is tested."""
    (shown,) = [
        block
        for block in RECEIVE_EVENTS.read_text(encoding="utf-8").split("```python\n")[1:]
        if "def is_genuine" in block
    ]
    (code, _, _) = shown.partition("```")
    assert functions(code)["is_genuine"] == functions(RECEIVER.read_text(encoding="utf-8"))["is_genuine"]
