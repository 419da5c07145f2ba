"""Checks the secrets that sign an account's webhooks: how long they are, and until when they sign."""

from __future__ import annotations

import time
from collections.abc import Iterator

from worker.cli.doctor.finding import Finding
from worker.configuration.signing_secrets import (
    MAX_ADVISED_BYTES,
    MIN_ADVISED_BYTES,
    SigningSecret,
    Version,
    written_moment,
)
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint


def check(account: Account) -> Iterator[Finding]:
    """Yield a finding for each secret of another length than Standard Webhooks asks for, and for each kind of signature
    that no secret makes, or will make some day. The secrets must be valid.
    """
    for hook in account.webhooks:
        place = f"webhook {hook.key} of {account.name}"
        found = hook.secrets()
        yield from (_odd_length(place, secret) for secret in found if not secret.has_advised_length)
        yield from _ends(place, hook, found)


def _odd_length(place: str, secret: SigningSecret) -> Finding:
    text = (
        f"the secret in {secret.source} has {len(secret.key)} bytes; Standard Webhooks asks for {MIN_ADVISED_BYTES} "
        f"to {MAX_ADVISED_BYTES}"
    )
    return Finding.warn(place, text, "replace it with `callworker webhooks rotate`; it signs until then")


def _ends(place: str, hook: Endpoint, found: tuple[SigningSecret, ...]) -> Iterator[Finding]:
    now = time.time()
    for version in hook.signatures:
        ends = [secret.until for secret in found if secret.version is version and secret.signs_at(now)]
        known = [end for end in ends if end is not None]
        if not ends:
            yield Finding.fail(place, _over(version), "make a new one with `callworker webhooks rotate`")
        elif len(known) == len(ends):
            text = f"the last {version.value} secret stops signing at {written_moment(max(known))}"
            yield Finding.warn(place, text, "make a new one with `callworker webhooks rotate` before that")


def _over(version: Version) -> str:
    name = version.value
    return f"every {name} secret in its secret_file has expired: its subscriber gets no {name} signature"
