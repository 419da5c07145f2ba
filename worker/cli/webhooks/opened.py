"""What the commands about one endpoint share: the store, the endpoint that was named, and the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from worker.cli import places
from worker.cli.audited import Trail
from worker.cli.output import say
from worker.cli.webhooks import named
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Destination
from worker.settings import Settings
from worker.state.endpoint_views import EndpointViews


@dataclass(frozen=True, slots=True)
class Opened:
    """One endpoint and the store with its state. `hook` is None if the accounts file no longer has the endpoint."""

    settings: Settings
    client: redis.Redis
    trail: Trail
    destination: Destination
    hook: Endpoint | None

    @property
    def name(self) -> str:
        return "/".join(self.destination)

    @property
    def older(self) -> list[Destination]:
        """Where deliveries wait that are from before the endpoint had its name, see `Endpoint.keys`."""
        keys = () if self.hook is None else self.hook.keys
        found = (Destination(self.destination.account, key) for key in keys[1:])
        return [where for where in found if where != self.destination]

    def note(self, act: str, detail: Mapping[str, Any] | None = None) -> None:
        """Put an act on the audit trail. Raises StoreUnavailable or WrongKey, ending the command before the act."""
        account, key = self.destination
        self.trail.note(f"webhooks {act}", account=account, endpoint=key, detail=detail)

    def warn_if_gone(self) -> None:
        """Tell a person that nothing is delivered to an endpoint that no worker knows."""
        if self.hook is None:
            say(f"callworker: {self.name} is not in the accounts file, so no worker delivers to it", err=True)


@contextmanager
def opened(text: str, account: str | None, why: str = "") -> Iterator[Opened]:
    """Open the store and find the endpoint that was named `text`. Raises UsageError if that is not one."""
    settings = Settings.from_env()
    with places.store(settings) as client:
        found = named.destination(places.accounts(settings), text, account, EndpointViews(client).knows)
        yield Opened(settings, client, Trail(client, settings, why), *found)
