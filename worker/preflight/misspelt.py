"""Finds environment variables that nothing reads and whose names resemble one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from worker.settings import Settings

OWN_PREFIX = "CALLWORKER_"
MIN_LIKENESS = 0.85
"""From 0 to 1. This allows one slip in a short name, and two in a long one."""

_OF_OTHER_PROGRAMS = frozenset({"WEB_CONCURRENCY"})


def misspelt(environ: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """The name that was probably meant, for each such variable of `environ`.

    `named` are the variables that the accounts file names.
    """
    ours = Settings.variables()
    foreign = environ.keys() - {*ours, *named, *_OF_OTHER_PROGRAMS}
    meant = {name: _nearest(name, ours) for name in sorted(foreign)}
    return {name: own for name, own in meant.items() if own}


def _nearest(name: str, ours: list[str]) -> str | None:
    likeness = {own: _likeness(name, own) for own in ours}
    best = max(ours, key=lambda own: likeness[own])
    return best if likeness[best] >= MIN_LIKENESS else None


def _likeness(name: str, own: str) -> float:
    """The likeness of two names from 0 to 1. Case, underscores, our prefix and a suffix after our name do not count."""
    if name.startswith(f"{own}_"):
        return 1.0
    return SequenceMatcher(None, _plain(name), _plain(own), autojunk=False).ratio()


def _plain(name: str) -> str:
    return "".join(sign for sign in name.upper().removeprefix(OWN_PREFIX) if sign.isalnum())
