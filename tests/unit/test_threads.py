"""Threads' names, as the system shows them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from worker.telemetry.threads import show_name


@pytest.mark.skipif(sys.platform != "linux", reason="the names are Linux'")
@pytest.mark.parametrize("name", ["recorder", "a name of more than fifteen bytes"])
def test_a_thread_has_its_name_for_the_system_too(name: str) -> None:
    """The system shows as much of the name as it has room for, for this thread only."""
    shown: list[str] = []

    def run() -> None:
        show_name(name)
        shown.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().strip())

    own = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
    before = own.read_text()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert shown == [name[:15].strip()] and own.read_text() == before
