"""Finds out whether Redis has written to its file what it has answered.

With `appendfsync everysec`, the default, Redis delays writes by up to 2 s while the sync of the last second is under
way, but it does not delay its answers. If it is killed then, it forgets what it has answered. An answer that is not yet
written must have no consequence elsewhere: no call, no acknowledgement at another broker, no event.

Source: `flushAppendOnlyFile` in aof.c of Redis 7 and of Valkey, which runs before answers are sent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

MAX_PUT_OFF_SECONDS = 2.5
"""The longest wait. Redis writes after 2 s at the latest, however long the sync takes."""

LOOK_SECONDS = 0.001
"""The pause between two questions while waiting."""

QUESTION = ("INFO", "persistence")
"""The command that asks whether writes are delayed, see `is_put_off`."""

_PENDING = re.compile(rb"aof_pending_bio_fsync:[1-9]")


def puts_writes_off(facts: Any) -> bool:
    """Tell from the reply of `INFO persistence` whether a sync is under way, so that writes are delayed.

    If none is, everything before the reply is in the file. A reply that does not say counts as none.
    """
    pending = facts.get("aof_pending_bio_fsync") if isinstance(facts, Mapping) else 0
    return isinstance(pending, int) and pending > 0


def is_put_off(answer: Any) -> bool:
    """Tell the same from the unparsed answer to `QUESTION`. The error of a server that refuses it counts as no.

    If it is the last command of a round trip, the answer holds for all commands before it: Redis writes what is pending
    in the order in which it was answered.
    """
    return isinstance(answer, bytes) and _PENDING.search(answer) is not None


def wait_until_written(puts_off: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> None:
    """Return once `puts_off` returns False, or after `MAX_PUT_OFF_SECONDS`. Raises what `puts_off` raises."""
    ends = time.monotonic() + MAX_PUT_OFF_SECONDS
    while puts_off() and time.monotonic() < ends:
        sleep(LOOK_SECONDS)


def wait_for_file(client: Any) -> None:
    """Block until Redis has written everything that it has answered to `client`, a client of redis-py.

    Returns at once if the server refuses INFO, because the user may not run it or it was renamed. Raises redis-py's
    connection errors.
    """
    with suppress(ResponseError):
        wait_until_written(lambda: puts_writes_off(client.info("persistence")))
