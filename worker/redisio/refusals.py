"""Tells what Redis means by an error reply, from the code at its start or within the text of a script's error.

Source: Redis 6.2 `luaRedisGenericCommand` and `evalGenericCommand` in scripting.c ("ERR Error running script (call to
f_…): @user_script:1: -OOM command not allowed …"); Redis 7 keeps the code in front. redis-py cuts off the codes for
which it has a class.
"""

from __future__ import annotations

import re

from redis import exceptions
from redis.exceptions import RedisError, ResponseError

NO_PRIMARY = {"READONLY", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"}
"""Codes of a server that is no longer the primary or is being replaced. Its address may already lead to another."""

NOT_NOW = NO_PRIMARY | {
    "ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MISCONF", "MOVED", "NOSCRIPT", "OOM", "TRYAGAIN",
}  # fmt: skip
"""Codes of a server that is up but cannot take a write at the moment. ASK and MOVED name another server that has the
key: that is never followed, because a script would run there without the rest of its shard."""

ON_THE_MOVE = {"ASK", "MOVED", "TRYAGAIN"}
"""Codes of a server of a cluster that does not have all keys of a command, or not any more."""

_CLASSES: dict[type[RedisError], str] = {
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
    exceptions.NoScriptError: "NOSCRIPT",
}
_WORDS = re.compile(rf"(?:^|: ?)-?({'|'.join(sorted(NOT_NOW))}) ")


_HELD = re.compile(r"\bSETBACK (\S+)turn\b")


def held_shard(error: ResponseError) -> str | None:
    """Return the prefix of the shard that a script found held, see `take_turn` in ground.lua; else None."""
    found = _HELD.search(str(error))
    return found[1] if found else None


def code_of(error: ResponseError) -> str | None:
    """Return one of `NOT_NOW`, or None for any other error."""
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return code
    found = _WORDS.search(str(error))
    return found[1] if found else None


def is_unauthenticated(error: ResponseError) -> bool:
    """Return whether a command was too large for a connection that has not logged in.

    That is how a new password shows on connections that were open when it was set. redis-py has no class for it.
    """
    return "Protocol error: unauthenticated" in str(error)
