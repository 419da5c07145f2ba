"""Puts events that end no job into the outbox."""

from __future__ import annotations

from collections.abc import Iterable

from worker.core.notices import Notice
from worker.redisio.runner import ScriptCall
from worker.state import keys


def calls(notices: Iterable[Notice]) -> list[ScriptCall]:
    """Return the script calls that put `notices` on their way: one for each shard, in order."""
    words: dict[str, list[str]] = {}
    for notice in notices:
        words.setdefault(keys.prefix_of(notice.account), []).extend((notice.type, notice.body))
    return [ScriptCall("tell", shard, some) for shard, some in words.items()]
