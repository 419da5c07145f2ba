"""An account with endpoints, deliveries to them, and a watch that notes what it is told of them."""

from __future__ import annotations

from typing import Any

from worker.core.accounts import Accounts
from worker.delivery.ports import Attempt, Conclusion, Delivery, Destination, Effect

ACCOUNTS = Accounts.parse(
    {
        "accounts": {
            "acme": {
                "api_key_env": "KEY",
                "rate": "1/s",
                "webhooks": [
                    {"url": "https://one.example/", "secret_env": "ONE"},
                    {"url": "https://two.example/", "secret_env": "TWO", "name": "orders"},
                ],
            }
        }
    }
)
UNNAMED, NAMED = ACCOUNTS["acme"].webhooks


def delivery(number: int = 1, key: str = NAMED.key, account: str = "acme", **fields: Any) -> Delivery:
    """Return a first attempt at a delivery, with `fields` changed."""
    told: dict[str, Any] = {"attempt": 1, "sequence": number, "body": b'{"secret":"body"}'} | fields
    destination = Destination(account, key)
    return Delivery(
        shard=3, destination=destination, job_id=f"job-{number}", event_id=f"evt_{number}", **told
    )


class NotedDeliveries:
    """Implements `DeliveryWatch`."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, Attempt]] = []
        self.concluded: list[tuple[str, Conclusion, Effect]] = []

    def webhook_attempted(self, account: str, attempt: Attempt) -> None:
        self.attempts.append((account, attempt))

    def webhook_concluded(self, endpoint: str, conclusion: Conclusion, effect: Effect) -> None:
        self.concluded.append((endpoint, conclusion, effect))
