"""Tells log and metrics which accounts file this worker uses, what changed, and how it compares with other workers'."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from worker.core.accounts import Accounts
from worker.core.current import Changes
from worker.core.records import Standing
from worker.telemetry.metrics import Metrics

MAX_TOLD = 20
"""Names, and problems, that one line lists."""

log = structlog.get_logger(__name__)


class AccountsFileTold:
    """The watch of `AccountsWatch` and of `DeclaredLimits`. Thread-safe, because one thread calls each method."""

    def __init__(self, metrics: Metrics, accounts: Accounts) -> None:
        """`accounts` are those of the start."""
        self._metrics = metrics
        self._standing: tuple[bool, bool] | None = None
        self._uses(accounts)

    def accounts_reloaded(self, old: Accounts, new: Accounts, changes: Changes) -> None:
        """Report new accounts, which are in use from now on."""
        self._uses(new)
        log.info(
            "accounts.reloaded",
            accounts_file=new.digest,
            accounts_file_before=old.digest,
            added=_listed(changes.added),
            removed=_listed(changes.removed),
            changed=_listed(changes.changed),
        )

    def accounts_unchanged(self, accounts: Accounts) -> None:
        """Report a file that was read again and says the same as before."""
        self._uses(accounts)
        log.info("accounts.unchanged", accounts_file=accounts.digest)

    def accounts_refused(self, problems: Sequence[str], *, news: bool) -> None:
        """Report a file that cannot be used: each problem, once."""
        self._metrics.accounts_file_refused.set(1)
        if news:
            log.error("accounts.refused", problems=_some(problems), count=len(problems))

    def accounts_files(self, standing: Standing) -> None:
        """Report each change in how this worker's accounts file compares with those of the others."""
        self._metrics.accounts_files.set(standing.files)
        told, self._standing = self._standing, (standing.files > 1, standing.newest)
        if told == self._standing:
            return
        if standing.files > 1:
            log.warning("accounts.files_differ", files=standing.files, this_one_is_newest=standing.newest)
        elif told is not None:
            log.info("accounts.files_agree")

    def _uses(self, accounts: Accounts) -> None:
        self._metrics.accounts_file_refused.set(0)
        self._metrics.accounts_file.info({"hash": accounts.digest})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_some(names))


def _some(texts: Sequence[str]) -> list[str]:
    """Return the first of `texts`, and how many more there are."""
    more = len(texts) - MAX_TOLD
    return [*texts[:MAX_TOLD], *([f"and {more} more"] if more > 0 else [])]
