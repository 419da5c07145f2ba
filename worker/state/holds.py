"""Holds that an operator sets and ends. The holds that the provider's answers cause are set by the script `park`."""

from __future__ import annotations

from collections.abc import Iterable

import redis

from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.lua import store_scripts

AT_ONCE = 500
"""The most accounts in one round trip: other clients of Redis wait meanwhile."""

_LEAVES_HELD = "1"


def hold(client: redis.Redis, account: str, reason: str) -> bool:
    """Hold `account` until `resume`: its jobs are still accepted, but none is dialled and no probe is made.

    `reason` must not be empty; it is shown wherever the hold is. Returns False if the account is already held for that
    reason. Raises StoreUnavailable or WrongKey.
    """
    return bool(_set(client, [account], reason, ""))


def hold_all(client: redis.Redis, accounts: Iterable[str], reason: str) -> int:
    """Hold each of `accounts` like `hold`, but leave those that an operator holds already as they are.

    Returns how many are held by this. After StoreUnavailable or WrongKey some of them are; it may be repeated.
    """
    return _set(client, accounts, reason, _LEAVES_HELD)


def resume(client: redis.Redis, account: str) -> bool:
    """End the hold on `account`, whatever caused it.

    Returns False if the account was not held. Raises StoreUnavailable or WrongKey.
    """
    return bool(_set(client, [account], "", ""))


def resume_all(client: redis.Redis, accounts: Iterable[str], reason: str = "") -> int:
    """End the hold on each of `accounts`; with a `reason` only where the hold has that reason.

    Returns how many were held. After StoreUnavailable or WrongKey some of them are resumed; it may be repeated.
    """
    return _set(client, accounts, "", reason)


def _set(client: redis.Redis, accounts: Iterable[str], reason: str, only: str) -> int:
    """Run the script for each account, and return for how many it changed anything."""
    scripts, changed = store_scripts(client), 0
    calls = [ScriptCall("hold", keys.prefix_of(name), (name, reason, only)) for name in accounts]
    for start in range(0, len(calls), AT_ONCE):
        changed += sum(scripts.run_all(calls[start : start + AT_ONCE]))
    return changed
