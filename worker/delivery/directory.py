"""Finds an endpoint of the accounts file by the key under which a delivery waits."""

from __future__ import annotations

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination


class Directory:
    """The endpoints of this worker's accounts file, by all their keys."""

    def __init__(self, accounts: Accounts) -> None:
        self._endpoints = {
            Destination(name, key): endpoint
            for name, account in accounts.items()
            for endpoint in account.webhooks
            for key in endpoint.keys
        }

    def __len__(self) -> int:
        return len(self._endpoints)

    def find(self, destination: Destination) -> Endpoint | None:
        """Return the endpoint, or None if this worker's accounts file does not have it."""
        return self._endpoints.get(destination)

    def label(self, destination: Destination) -> str:
        """Return the name of the endpoint for people, logs and metrics."""
        endpoint = self._endpoints.get(destination)
        return destination.endpoint_key if endpoint is None else endpoint.key
