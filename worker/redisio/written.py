"""Whether Redis has written to its file what it has answered.

With `appendfsync everysec`, its default, it puts writes off, up to 2 s, while the last second's sync is under way, but
not its answers: killed then, it forgets what it has said. What is not written yet must have no consequence elsewhere,
no call, no acknowledgement at another broker, no event.

Source: `flushAppendOnlyFile` in aof.c of Redis 7 and of Valkey, which runs before answers are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

MAX_PUT_OFF_SECONDS = 2.5
"""Redis writes after 2 s, however long the sync takes."""

LOOK_SECONDS = 0.001


def puts_writes_off(facts: Any) -> bool:
    """From `INFO persistence`: whether a sync is under way. If none is, all before is in the file with the answer.

    So it counts where nothing is told of it.
    """
    pending = facts.get("aof_pending_bio_fsync") if isinstance(facts, Mapping) else 0
    return isinstance(pending, int) and pending > 0


def telling(script: str) -> str:
    """`script`, whose reply comes as {reply, 1 where `puts_writes_off`, else 0, what it returned beside the reply}.

    Where INFO is refused, in whatever way, that is 0.
    """
    return f"""local function run()
{script}
end
local reply, beside = run()
local facts = redis.pcall('INFO', 'persistence')
local put_off = type(facts) == 'string' and string.find(facts, 'aof_pending_bio_fsync:[1-9]')
return {{reply or false, put_off and 1 or 0, beside}}
"""


def wait_until_written(puts_off: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> None:
    """Return once `puts_off` says no, or it must have been written anyway. Raises what `puts_off` raises."""
    ends = time.monotonic() + MAX_PUT_OFF_SECONDS
    while puts_off() and time.monotonic() < ends:
        sleep(LOOK_SECONDS)


def wait_for_file(client: Any) -> None:
    """Wait so for what a client of redis-py was answered. Raises redis-py's errors of a connection.

    A server that refuses to tell, as the user may not ask or the command was renamed, is not waited for.
    """
    with suppress(ResponseError):
        wait_until_written(lambda: puts_writes_off(client.info("persistence")))
