"""What a fault is: how it is put in, and which alert must tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ops.pages.scene import Scene

FACTOR = 10.0
"""By how much everything is faster, unless a fault needs more time."""

Put = Callable[[Scene], AbstractContextManager[None]]
"""Puts a fault in on entry, and repairs it on exit."""


@dataclass(frozen=True)
class Fault:
    """A fault. `told` says what is done. `alert` is the only alert that may page, with these `labels`; "" is none.

    `own_seconds` pass in the program itself before anything can be seen, and no factor divides them. `most_factor`
    bounds the factor. A fault that `passes` ends by itself: its alert may be resolved before it is repaired.
    `lasts_seconds` is how long a time without an alert is watched. `settings` are those of the workers.
    """

    name: str
    told: str
    put: Put
    alert: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    own_seconds: float = 0.0
    most_factor: float = FACTOR
    passes: bool = False
    lasts_seconds: float = 600.0
    settings: Mapping[str, str] = field(default_factory=dict)


def nothing(_: Scene) -> AbstractContextManager[None]:
    return nullcontext()
