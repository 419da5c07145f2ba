"""Holds that an operator sets and ends. The holds that the provider's answers cause are set by the script `park`."""

from __future__ import annotations

import redis

from worker.redisio.runner import ScriptCall
from worker.state import keys
from worker.state.lua import store_scripts


def hold(client: redis.Redis, account: str, reason: str) -> bool:
    """Hold `account` until `resume`: its jobs are still accepted, but none is dialled and no probe is made.

    `reason` must not be empty; it is shown wherever the hold is. Returns False if the account is already held for that
    reason. Raises StoreUnavailable or WrongKey.
    """
    return _set(client, account, reason)


def resume(client: redis.Redis, account: str) -> bool:
    """End the hold on `account`, whatever caused it.

    Returns False if the account was not held. Raises StoreUnavailable or WrongKey.
    """
    return _set(client, account, "")


def _set(client: redis.Redis, account: str, reason: str) -> bool:
    call = ScriptCall("hold", keys.prefix_of(account), (account, reason))
    return bool(store_scripts(client).run(call))
