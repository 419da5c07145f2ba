"""The events of log lines are a closed list: docs/reference/logs.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.test_layers import ROOT, SOURCES
from worker.core.events import Status, event_type
from worker.telemetry import troubles
from worker.telemetry.logs import LIBRARY

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
LEVEL = "(?:debug|info|warning|error|critical|any)"
LOGS = re.compile(rf"(?:\w+\.)*(?:_?log|_crash|_own)\.({'|'.join(LEVELS)})|write|tell")
"""What is called to write a line. `write` and `tell` are one of two such methods; the commands' own write no log."""

COMPUTED = {
    "event.type": {event_type(status) for status in Status},
    "trouble": set(troubles.AWAY.values()),
    "BACK[trouble]": set(troubles.BACK.values()),
    "event": {"embedded.restarted", "embedded.taken_over"},
}
"""The events of the calls that do not name one, by the expression that stands there."""

BESIDE = {LIBRARY: "any", "log.line_lost": "error"}
"""Events of lines that no logging call of the program makes, with their levels."""


def calls() -> Iterator[tuple[str, set[str]]]:
    """The method and the events of each call that writes a line."""
    for path in SOURCES:
        if path.parent.relative_to(ROOT / "worker").parts[:1] == ("cli",):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and LOGS.fullmatch(ast.unparse(node.func)):
                yield ast.unparse(node.func).rpartition(".")[2], events(node.args[0])


def events(named: ast.expr) -> set[str]:
    return {str(named.value)} if isinstance(named, ast.Constant) else COMPUTED[ast.unparse(named)]


def documented() -> dict[str, str]:
    """Each event of the page, with the text in its column for the level."""
    page = (ROOT / "docs/reference/logs.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `([a-z_.]+)` \| ({LEVEL}(?: or {LEVEL})?) \|", page, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "an event stands there twice"
    return dict(rows)


def test_every_event_of_the_code_is_documented_and_every_documented_one_is_in_the_code() -> None:
    """The page has all names that `event` may have, and no other."""
    assert set().union(*(found for _, found in calls())) | BESIDE.keys() == documented().keys()


def test_every_event_has_the_level_that_is_documented() -> None:
    """An operator may filter by level: it is part of what the page promises."""
    levels, wrong = documented(), []
    for method, found in calls():
        level = "error" if method == "exception" else method
        wrong += [(event, level) for event in found if level in LEVELS and level not in levels[event]]
    assert not wrong and BESIDE.items() <= levels.items()


def test_events_are_dotted_names() -> None:
    """Lower case, subject first; only `library` has no subject."""
    assert {name for name in documented() if not re.fullmatch(r"[a-z]+\.[a-z_]+", name)} == {LIBRARY}
