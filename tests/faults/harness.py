"""What a harness tries: on which installations, and which faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.bench import Bench
from tests.faults.cell import Cell


@dataclass(frozen=True)
class Harness:
    """`benches` has how many installations of each kind run side by side.

    `bench` makes an installation of a kind, and `cells` returns the faults of a kind whose names are wanted. `title`
    heads the table, `told` says what its trials are, and `kind` is the name of the option that selects a kind.
    """

    title: str
    told: str
    kind: str
    benches: Mapping[str, int]
    bench: Callable[[str], Bench]
    cells: Callable[[str, Callable[[str], bool]], list[Cell]]
