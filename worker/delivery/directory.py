"""Finds an endpoint of the accounts file by the key under which a delivery waits."""

from __future__ import annotations

from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination


class Directory:
    """The endpoints of this worker's accounts file, by all their keys. Thread-safe."""

    def __init__(self, accounts: Accounts) -> None:
        self.use(accounts)

    def use(self, accounts: Accounts) -> None:
        """Have these endpoints from now on, and no others."""
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

    def knows(self, destination: Destination) -> bool:
        """Return whether this worker's accounts file has the endpoint."""
        return destination in self._endpoints

    def label(self, destination: Destination) -> str:
        """Return the name of the endpoint for people, logs and metrics."""
        endpoint = self._endpoints.get(destination)
        return destination.endpoint_key if endpoint is None else endpoint.key
