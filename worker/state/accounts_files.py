"""Which accounts file the living workers have, and whose is the newest. Why: docs/decisions/0014."""

from __future__ import annotations

from typing import NamedTuple

from worker.core.records import Standing
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys

LIVES_MS = 15_000
"""A worker that has not spoken for so long is gone: several of its words were lost, or it was stopped."""

KEPT_MS = 30 * 86_400_000


class Announced(NamedTuple):
    """A file's number among those that were ever seen, newer ones having higher numbers, and how it stands."""

    generation: int
    standing: Standing


def announce(scripts: Scripts, file: str) -> Announced:
    """Say that a worker lives that has `file`, a digest of its contents. Raises StoreUnavailable, WrongKey."""
    reply = scripts.run(ScriptCall("files", keys.FILES, (file, LIVES_MS, KEPT_MS)))
    generation, newest, lapsed, files = (int(part) for part in reply)
    return Announced(generation, Standing(bool(newest), bool(lapsed), files))
