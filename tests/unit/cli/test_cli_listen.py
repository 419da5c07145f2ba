"""`callworker webhooks listen`: what it refuses before it connects, and how it reads what comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, one_line
from worker.cli.webhooks.forwarding import Incoming, Selection

ACCOUNTS = """
[accounts.acme]
rate = "1/s"
api_key_env = "K"
[[accounts.acme.webhooks]]
url = "https://hooks.example.com/calls"
name = "orders"
secret_env = "S"
"""
FORWARD = ("--forward", "http://127.0.0.1:8000/hook")
EVENT = {"id": "evt_1", "type": "call.placed", "data": {"id": "order-1", "account": "acme"}}


@pytest.fixture(autouse=True)
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    monkeypatch.setenv("ACCOUNTS_FILE", str(file))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("acme",), "--forward"),
        (("nobody", *FORWARD), "the accounts file has acme"),
        (("acme", *FORWARD, "--endpoint", "bills"), "the accounts file has acme/orders"),
        (("acme", *FORWARD, "--events", "placed"), "call.placed, call.failed"),
        (("acme", "--forward", "127.0.0.1:8000"), "--forward must begin with http:// or https://"),
        (("acme", "--forward", "http://me:hunter2@127.0.0.1"), "--forward holds a user name"),
    ],
)
def test_wrong_usage_is_named(run: Run, words: tuple[str, ...], told: str) -> None:
    """The line says what is wrong and what is allowed. Nothing is connected to."""
    result = run("webhooks", "listen", *words)
    assert result.exit_code == 2
    assert told in one_line(result) and "hunter2" not in result.stderr


def test_broker_that_is_away_is_named(run: Run) -> None:
    """The command ends with one line and status 1, and prints no secret that nobody needs."""
    result = run("webhooks", "listen", "acme", *FORWARD)
    assert result.exit_code == 1
    assert "refused" in one_line(result) and "whsec_" not in result.stderr


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        json.dumps(EVENT | {"data": None}).encode(),
        json.dumps(EVENT | {"id": 1}).encode(),
        json.dumps(EVENT | {"id": "evt_1\r\nx-forged: 1"}).encode(),
        json.dumps(EVENT | {"data": {"account": "acme"}}).encode(),
    ],
)
def test_message_that_is_no_event_is_passed_over(message: bytes) -> None:
    """A program that may write to the exchange cannot end the command or forge a header."""
    assert Incoming.of(message) is None


def test_event_is_chosen_by_account_and_type() -> None:
    """The patterns are those of the accounts file."""
    found = Incoming.of(json.dumps(EVENT).encode())
    assert found is not None and (found.id, found.job_id) == ("evt_1", "order-1")
    chosen = {
        (account, pattern): Selection(account, (pattern,)).has(found)
        for account in ("acme", "globex")
        for pattern in ("call.*", "call.p*", "call.failed")
    }
    assert [key for key, has in chosen.items() if has] == [("acme", "call.*"), ("acme", "call.p*")]
