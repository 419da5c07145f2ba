"""Tells which accounts files living workers have, and which one is the newest. See docs/decisions/0014."""

from __future__ import annotations

from typing import NamedTuple

from worker.core.records import Standing
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys

LIVES_MS = 15_000
"""A worker counts as gone that long after its last report: it was stopped, or several of its reports were lost."""

KEPT_MS = 30 * 86_400_000
"""How long a file is remembered that no living worker has."""


class Announced(NamedTuple):
    """What the store says of an accounts file. A file that was first seen later has a higher `generation`."""

    generation: int
    standing: Standing


def announce(scripts: Scripts, file: str) -> Announced:
    """Report that a living worker has `file`, a digest of its content. Raises StoreUnavailable or WrongKey."""
    reply = scripts.run(ScriptCall("files", keys.FILES, (file, LIVES_MS, KEPT_MS)))
    generation, newest, lapsed, files = (int(part) for part in reply)
    return Announced(generation, Standing(bool(newest), bool(lapsed), files))
