"""Environment variables that nothing reads and whose names are near to one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from worker.settings import Settings

OWN_PREFIX = "CALLWORKER_"
NEAR = 0.85
"""How alike two names are at least, from 0 to 1: one slip in a short name, two in a long one."""

_OF_OTHER_PROGRAMS = frozenset({"WEB_CONCURRENCY"})


def misspelt(environ: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """For each such variable of `environ` the name that was probably meant.

    `named` are the variables that the accounts file names.
    """
    ours = Settings.variables()
    foreign = environ.keys() - {*ours, *named, *_OF_OTHER_PROGRAMS}
    meant = {name: _nearest(name, ours) for name in sorted(foreign)}
    return {name: own for name, own in meant.items() if own}


def _nearest(name: str, ours: list[str]) -> str | None:
    likeness = {own: _likeness(name, own) for own in ours}
    best = max(ours, key=lambda own: likeness[own])
    return best if likeness[best] >= NEAR else None


def _likeness(name: str, own: str) -> float:
    """From 0 to 1; case, underscores and our own prefix do not count, nor does what follows a whole name of ours."""
    if name.startswith(f"{own}_"):
        return 1.0
    return SequenceMatcher(None, _plain(name), _plain(own), autojunk=False).ratio()


def _plain(name: str) -> str:
    return "".join(sign for sign in name.upper().removeprefix(OWN_PREFIX) if sign.isalnum())
