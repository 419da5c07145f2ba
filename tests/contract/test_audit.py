"""The audit trail on Redis: what is kept of an act, and what an act that cannot be noted comes to."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from worker.errors import StoreUnavailable, WrongKey
from worker.state import audit, keys
from worker.state.audit import Act, AuditTrail


@pytest.fixture
def trail(client: redis.Redis) -> AuditTrail:
    return AuditTrail(client)


def act(name: str = "webhooks enable", **fields: Any) -> Act:
    return Act(name, "ada", "ops-1", **fields)


def test_acts_are_kept_newest_first_with_the_time_of_redis(client: redis.Redis, trail: AuditTrail) -> None:
    """An act comes back as it was written, with the moment at which Redis took it."""
    before = int(client.time()[0]) * 1000
    trail.write(act("accounts hold", why="invoice open", account="acme"))
    trail.write(act(endpoint="orders", account="acme", detail={"pending": 3, "over": "10m"}))
    newest, oldest = trail.newest(9)
    assert before <= oldest.at_ms <= newest.at_ms <= (int(client.time()[0]) + 1) * 1000
    assert (oldest.act, oldest.why, oldest.account, oldest.endpoint) == (
        "accounts hold",
        "invoice open",
        "acme",
        "",
    )
    assert newest.as_dict() == {
        "at": newest.as_dict()["at"], "who": "ada", "host": "ops-1", "act": "webhooks enable", "why": None,
        "account": "acme", "endpoint": "orders", "job": None, "detail": {"pending": 3, "over": "10m"},
    }  # fmt: skip


def test_trail_is_cut_by_number_and_time(trail: AuditTrail) -> None:
    """No more are returned than asked for, and none from before the time given."""
    for number in range(3):
        trail.write(act(detail={"number": number}))
    assert [found.detail["number"] for found in trail.newest(2)] == [2, 1]
    newest = trail.newest(1)[0].at_ms
    assert trail.newest(9, newest + 1) == []
    assert trail.newest(9, newest)[0].detail["number"] == 2


def test_oldest_acts_go(client: redis.Redis, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is bounded, so that it can fill no Redis."""
    monkeypatch.setattr(audit, "MAX_KEEP", 2)
    for number in range(4):
        trail.write(act(detail={"number": number}))
    assert [found.detail["number"] for found in trail.newest(9)] == [3, 2]


def test_no_secret_or_number_is_kept(client: redis.Redis, trail: AuditTrail) -> None:
    """A reason and texts of the detail are cleaned, put on one line, and cut."""
    secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
    told = f"he said\n{secret} for 12125550123, code=4711 " + "x" * 1000
    trail.write(act(why=told, detail={"reason": told}))
    (found,) = trail.newest(1)
    for text in (found.why, str(found.detail["reason"])):
        assert len(text) <= 520 and "\n" not in text and "he said" in text
        assert not any(part in text for part in (secret, "12125550123", "4711"))


def test_act_that_cannot_be_noted_is_an_error(client: redis.Redis, trail: AuditTrail) -> None:
    """A key of another type and a full Redis both refuse the entry, so the act is not done."""
    client.set(keys.AUDIT, "mine")
    with pytest.raises(WrongKey, match="callworker:audit"):
        trail.write(act())
    client.delete(keys.AUDIT)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            trail.write(act())
    finally:
        client.config_set("maxmemory", 0)
    assert trail.newest(9) == []
