"""Checks that the guard lets events go to an account's webhooks, as far as that shows without looking up a name."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.doctor.finding import Finding
from worker.core.accounts import Account
from worker.network.guard import Guard, GuardRefused


def check(account: Account) -> Iterator[Finding]:
    """Yield a finding for each webhook whose scheme or port is not allowed."""
    for hook in account.webhooks:
        try:
            Guard.of(hook).check_url(hook.url)
        except GuardRefused as refused:
            text = f"nothing is sent to it, because its {refused.rule} is not allowed"
            yield Finding.fail(f"webhook {hook.key} of {account.name}", text, refused.rule.remedy)
