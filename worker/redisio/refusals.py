"""What Redis means by an error reply: by its code, which stands first, or within the words of a script that met it.

Source: Redis 6.2 `luaRedisGenericCommand` and `evalGenericCommand` in scripting.c ("ERR Error running script (call to
f_…): @user_script:1: -OOM command not allowed …"); Redis 7 keeps the code in front. redis-py cuts off the codes for
which it has a class.
"""

from __future__ import annotations

import re

from redis import exceptions
from redis.exceptions import RedisError, ResponseError

NO_PRIMARY = {"READONLY", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"}
"""Of a server that is no primary any more, or is being replaced: where its address leads by now, another may be."""

NOT_NOW = NO_PRIMARY | {"OOM", "MISCONF", "BUSY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOSCRIPT"}
"""Of a server that is up but cannot serve a write at the moment."""

_CLASSES: dict[type[RedisError], str] = {
    exceptions.ReadOnlyError: "READONLY",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.NoScriptError: "NOSCRIPT",
}
_WORDS = re.compile(rf"(?:^|: ?)-?({'|'.join(sorted(NOT_NOW))}) ")


def code_of(problem: ResponseError) -> str | None:
    """One of `NOT_NOW`, or None for any other error."""
    for kind, code in _CLASSES.items():
        if isinstance(problem, kind):
            return code
    found = _WORDS.search(str(problem))
    return found[1] if found else None
