"""Puts events that end no job into the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.core.notices import Notice
from worker.errors import StoreUnavailable
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys


def calls(notices: Sequence[Notice]) -> list[tuple[ScriptCall, list[int]]]:
    """Return the script calls that put `notices` on their way: one for each shard, in order, with the places of its
    notices."""
    shards: dict[str, list[int]] = {}
    for place, notice in enumerate(notices):
        shards.setdefault(keys.prefix_of(notice.account), []).append(place)
    return [
        (
            ScriptCall("tell", shard, [word for n in places for word in (notices[n].type, notices[n].body)]),
            places,
        )
        for shard, places in shards.items()
    ]


def put_on_their_way(
    scripts: Scripts, notices: Sequence[Notice], *more: ScriptCall
) -> tuple[dict[int, StoreUnavailable], list[Any]]:
    """Put notices on their way, and run `more` in the same round trip.

    Returns for the places of those that could not be put there why not, see `run_parts`; and the replies to `more`.
    """
    told = calls(notices)
    replies = scripts.run_parts([*more, *(call for call, _ in told)])
    failed: dict[int, StoreUnavailable] = {}
    for (_, places), reply in zip(told, replies[len(more) :], strict=True):
        if isinstance(reply, StoreUnavailable):
            failed |= dict.fromkeys(places, reply)
    return failed, replies[: len(more)]
