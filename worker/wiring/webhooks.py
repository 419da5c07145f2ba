"""Makes the parts that deliver webhooks, and connects them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from worker.core.accounts import Accounts
from worker.delivery import guarding
from worker.delivery.courier import Courier
from worker.delivery.directory import Directory
from worker.delivery.excerpts import Excerpts
from worker.delivery.schedule import ATTEMPT_SECONDS, Schedule
from worker.delivery.secrets import Secrets
from worker.delivery.telling import Telling
from worker.delivery.webhooks import WebhookSender
from worker.engine.couriers import Couriers
from worker.engine.greenlets import GivingWay
from worker.engine.places import Places
from worker.privacy.redaction import redactor, register_secret
from worker.redisio.runner import Scripts
from worker.settings import Settings
from worker.state.deliveries import RedisDeliveries
from worker.telemetry.watching import Watching
from worker.wiring.tracing import Tracing


class Webhooks:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        scripts: Scripts,
        watching: Watching,
        tracing: Tracing,
        *,
        wake: Callable[[], object],
        places: int,
    ) -> None:
        """`places`: the most deliveries in flight. `wake` has the couriers take a turn."""
        self._settings, self._accounts, self._scripts, self._watching = settings, accounts, scripts, watching
        self._tracing, self._wake, self._places = tracing, wake, places

    @cached_property
    def couriers(self) -> Couriers:
        guarding.warn(self._accounts.values())
        store = self._tracing.deliveries(RedisDeliveries(self._scripts, attempt_seconds=ATTEMPT_SECONDS))
        tell = Telling(self.directory, self._watching).tell
        deliver = self._tracing.attempts(self._courier.deliver, self.directory)
        faults, places = self._watching, Places(self._places)
        return Couriers(deliver, store, tell, faults, places, known=self.directory.knows, woken=self._wake)

    @cached_property
    def directory(self) -> Directory:
        return Directory(self._accounts)

    def adopt(self, accounts: Accounts) -> None:
        """Have the endpoints of these accounts from now on. Raises ConfigurationError, and then nothing has changed."""
        self._secrets.load(hook for _, hook in accounts.endpoints())
        self.directory.use(accounts)
        before, self._accounts = self._accounts, accounts
        guarding.warn(account for name, account in accounts.items() if before.get(name) != account)

    @property
    def _courier(self) -> Courier:
        proxy, contact = self._settings.webhook_proxy, self._settings.webhook_contact
        return Courier(
            self.directory,
            WebhookSender(self._secrets, proxy=proxy, contact=contact),
            self._watching,
            GivingWay(),
            schedule=Schedule(self._settings.webhook_waits),
            excerpts=Excerpts(redactor.text),
        )

    @cached_property
    def _secrets(self) -> Secrets:
        """What signs webhooks; each secret that a file gets later is kept out of log lines too."""
        secrets = Secrets(register=register_secret)
        secrets.load(hook for _, hook in self._accounts.endpoints())
        return secrets
