"""What the log says at the start of webhooks to which nothing will go."""

from __future__ import annotations

from structlog.testing import capture_logs

from worker.core.accounts import Accounts
from worker.delivery import guarding


def test_webhook_that_the_guard_refuses_is_named_at_the_start() -> None:
    """The worker starts with it, as before there was a guard; the line says what to do, and shows no address."""
    urls = ["https://h.example.com/", "http://h.example.com/tulip", "https://h.example.com:8443/tulip"]
    hooks = [{"url": url, "secret_env": "S", "name": f"hook-{n}"} for n, url in enumerate(urls)]
    accounts = Accounts.parse({"accounts": {"acme": {"api_key_env": "K", "rate": "1/s", "webhooks": hooks}}})
    with capture_logs() as logs:
        guarding.warn(accounts.values())
    assert [(line["event"], line["account"], line["endpoint"], line["rule"]) for line in logs] == [
        ("webhook.not_allowed", "acme", "hook-1", "scheme"),
        ("webhook.not_allowed", "acme", "hook-2", "port"),
    ]
    assert "allow_insecure" in logs[0]["remedy"] and "tulip" not in repr(logs)
