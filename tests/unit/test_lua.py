"""Lua scripts, and the processes that were started with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.inbound import lua as broker
from worker.redisio.lua import texts
from worker.state import lua as store

SOURCES = {"worker.state": store.source, "worker.inbound": broker.source}


@pytest.mark.parametrize("package", SOURCES)
def test_a_process_goes_on_with_the_scripts_it_began_with(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with those that it uses later, once an upgrade has replaced the files: scripts of two versions that keep one
    clock between them had all leases run out at once. (A1)"""
    names = texts(package)
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a script is read late"))
    for name, text in names.items():
        assert SOURCES[package].__wrapped__(name).endswith(text)
