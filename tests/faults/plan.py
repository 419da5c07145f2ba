"""The plan: units of work for the installations, chosen so that all cells advance at the same pace."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.cell import Cell
from tests.faults.report import Row
from tests.faults.trials import Unit

MAX_FRUITLESS = 3
"""A fault that did not come about in so many units in a row, or whose installation failed so often, is given up, and
its row says so."""


@dataclass
class _Group:
    """Cells that are put in together; `given` trials of each are done or under way."""

    cell: Cell
    rows: list[Row]
    given: int = 0
    fruitless: int = 0

    def short(self, trials: int) -> bool:
        """Return whether any cell has fewer than `trials`; some faults come about sooner than others."""
        return any(row.trials < trials for row in self.rows)


@dataclass
class Plan:
    """The work still to do: `trials` of each cell, by broker. For one thread."""

    trials: int
    groups: dict[str, list[_Group]] = field(default_factory=dict)

    @classmethod
    def of(cls, trials: int, chosen: dict[str, Sequence[Cell]]) -> Plan:
        """Make a plan; `chosen` has the cells of each broker."""
        return cls(
            trials,
            {
                broker: [_Group(cell, [Row(broker, name, trials) for name in cell.names]) for cell in some]
                for broker, some in chosen.items()
            },
        )

    @property
    def rows(self) -> list[Row]:
        """One row for each cell, in the catalogue's order."""
        return [row for groups in self.groups.values() for group in groups for row in group.rows]

    def give(self, broker: str) -> Unit | None:
        """Return the next unit, or None if all that is left is under way. The caller reports it `done` or `failed`."""
        open_groups = [
            group for group in self.groups[broker] if group.given < self.trials and group.short(self.trials)
        ]
        if not open_groups:
            return None
        group = min(open_groups, key=lambda one: (one.given, random.random()))
        trials = min(self.trials - group.given, group.cell.trials_per_drain * group.cell.drains)
        group.given += trials
        names = [row.cell for row in group.rows if row.trials < self.trials]
        return Unit(broker, tuple(names), trials)

    def done(self, unit: Unit, rows: Sequence[Row]) -> None:
        """Enter the results of a unit; faults that did not come about are planned again."""
        group = self._group(unit)
        for row in rows:
            next(own for own in group.rows if own.cell == row.cell).add(row)
        group.fruitless = 0 if any(row.trials for row in rows) else group.fruitless + 1
        self._give_again(group, max(row.missed for row in rows))

    def failed(self, unit: Unit) -> None:
        """Note that an installation broke down during a unit, which says nothing about the worker."""
        group = self._group(unit)
        group.fruitless += 1
        self._give_again(group, unit.trials)

    def _give_again(self, group: _Group, trials: int) -> None:
        if group.fruitless < MAX_FRUITLESS:
            group.given -= trials
        else:
            group.given = self.trials

    def _group(self, unit: Unit) -> _Group:
        return next(group for group in self.groups[unit.broker] if unit.names[0] in group.cell.names)
