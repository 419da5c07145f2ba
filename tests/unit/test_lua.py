"""Lua scripts, and the processes that were started with them."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from worker.inbound import lua as broker
from worker.redisio.lua import texts
from worker.state import lua as store
from worker.state.leases import LeaseReply

SOURCES = {"worker.state": store.source, "worker.inbound": broker.source}


@pytest.mark.parametrize("package", SOURCES)
def test_a_process_goes_on_with_the_scripts_it_began_with(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process never loads scripts of an upgrade, even those that it uses later: scripts of two versions that share
    one clock let all leases run out at once. (A1)"""
    names = texts(package)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a script is read late"))
    for name, text in names.items():
        assert SOURCES[package].__wrapped__(name).endswith(text)


PRELUDES = {"ground", "common", "endings", "endpoints", "when_full", "spread", "turning", "bounded"}
HEADS = [
    pytest.param(text, id=f"{package.removeprefix('worker.')}-{name}")
    for package in SOURCES
    for name, text in sorted(texts(package).items())
    if name not in PRELUDES
]


@pytest.mark.parametrize("text", HEADS)
def test_head_says_what_a_script_does_guarantees_takes_and_replies(text: str) -> None:
    """The head has, in this order, what the script does, Guarantees, KEYS, ARGV and Reply; then an empty line."""
    head, _, _ = text.partition("\n\n")
    lines = head.splitlines()
    assert all(line.startswith("-- ") for line in lines)
    starts = [
        next((n for n, line in enumerate(lines) if line.startswith(f"-- {part}")), -1)
        for part in ("Guarantees: ", "KEYS ", "ARGV ", "Reply: ")
    ]
    assert min(starts) > 0 and starts == sorted(starts)


@pytest.mark.parametrize("text", HEADS)
def test_script_reads_rows_by_name(text: str) -> None:
    """No field of a row goes by its number, and no argument beyond those that a line at the top gives a name."""
    _, _, body = text.partition("\n\n")
    code = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
    assert not [line for line in code if re.search(r"\b(f|row|fields)\[[0-9]+\]", line)]
    numbered = [line for line in code if re.search(r"\b(ARGV|KEYS)\[[0-9]+\]", line)]
    assert all(line.startswith(("local ", "if ARGV[5]")) for line in numbered)


def test_readme_lists_the_places_of_a_lease_reply() -> None:
    """The README lists the places in the order in which `LeaseReply` reads them."""
    readme = (files("worker.state") / "scripts" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| [0-9]+ \| (\w+) \|", readme, re.MULTILINE) == list(LeaseReply._fields)
