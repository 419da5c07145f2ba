"""What a client sends, without a broker."""

from __future__ import annotations

import pytest

from tests.unit.client.recorder import Recorder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The link of every client that is made in the test."""
    made = Recorder()
    monkeypatch.setattr("callworker.client.link_to", lambda *_: made)
    return made
