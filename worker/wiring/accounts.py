"""Makes what reads the accounts file, at the start and again when it changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from worker.configuration.textfiles import mark
from worker.core.accounts import Accounts
from worker.core.current import CurrentAccounts
from worker.engine.accounts_watch import AccountsFile, AccountsWatch, ReloadWatch
from worker.errors import every
from worker.preflight.accounts import ReadAccounts, of_certificates
from worker.privacy.redaction import register_secret
from worker.settings import Settings
from worker.telemetry.metrics import Metrics
from worker.wiring.webhooks import Webhooks


class LiveAccounts:
    """Each part is made when it is first asked for. Making them raises ConfigurationError."""

    def __init__(self, settings: Settings, checked: ReadAccounts | None = None) -> None:
        """`checked`: the file as the checks before the start read it, so that it is not read again at once."""
        self._checked = checked
        self._file = AccountsFile(settings.accounts_file, self._load)

    @cached_property
    def current(self) -> CurrentAccounts:
        """The accounts with all their secrets at hand, which no log line shows from now on."""
        return CurrentAccounts(self._file.load())

    def watch(
        self,
        webhooks: Webhooks,
        metrics: Metrics,
        told: ReloadWatch,
        *,
        woken: Callable[[], object],
        used: Callable[[], object],
    ) -> AccountsWatch:
        """Return what looks at the file, for these parts, which keep something for each account. See there."""

        def adopt(accounts: Accounts) -> None:
            webhooks.adopt(accounts)
            metrics.use(accounts, accounts.endpoints())

        return AccountsWatch(self._file, self.current, adopt, told, woken=woken, used=used)

    def _load(self, path: Path) -> Accounts:
        read, self._checked = self._checked, None
        if read is None or read.mark is None or read.mark != mark(path):
            read = ReadAccounts(path)
        every(of_certificates(read.accounts))
        register_secret(*read.secrets)
        return read.accounts
