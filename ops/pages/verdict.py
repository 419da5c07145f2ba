"""Whether the right alert came in time, and no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ops.pages.monitoring import Labels, Notice

WITHIN_SECONDS = {"critical": 120.0, "warning": 300.0}
"""How long after a fault its alert may come, by its severity, in seconds that are scaled back."""

TROUBLE = "trouble"
"""How the problem begins of a row that says nothing about the program: the harness failed."""

SHOWN_LABELS = ("account", "reason", "cause", "endpoint", "queue")


@dataclass(frozen=True)
class Wanted:
    """The alert that a fault must have, "" for none, with its labels.

    The alert of a fault that `passes` may be resolved before the repair.
    """

    alert: str
    labels: Labels = field(default_factory=dict)
    passes: bool = False

    def __str__(self) -> str:
        return shown({"alertname": self.alert, **self.labels}) if self.alert else "none"

    def is_met_by(self, labels: Labels) -> bool:
        return labels.get("alertname") == self.alert and self.labels.items() <= labels.items()


@dataclass(frozen=True)
class Course:
    """What happened in one trial, and what was notified.

    The fault was put in at `fault_unix` (seconds), left alone until `until_unix`, and repaired at `repaired_unix`.
    `unnotified` were active for long and not inhibited. `factor` and `own_seconds` scale times back.
    """

    fault_unix: float
    until_unix: float
    repaired_unix: float
    notices: Sequence[Notice]
    unnotified: Sequence[Labels]
    quiet: bool
    factor: float
    own_seconds: float = 0.0

    def scaled_back(self, seconds: float) -> float:
        """Return the time as without the factor. What passes in the program itself is not divided."""
        own = min(seconds, self.own_seconds)
        return own + (seconds - own) * self.factor


@dataclass(frozen=True)
class Row:
    """One fault in the table. Times are scaled back; None is never. It is good if there are no `problems`."""

    fault: str
    told: str
    wanted: str
    paged: Sequence[str] = ()
    severity: str = ""
    fire_seconds: float | None = None
    clear_seconds: float | None = None
    tiles: Sequence[str] = ()
    problems: Sequence[str] = ()


def judge(fault: str, told: str, wanted: Wanted, course: Course, tiles: Sequence[str]) -> Row:
    """Return the row of a fault. `tiles` are those that were not green while it lasted."""
    fired = _first(notice for notice in course.notices if notice.firing and wanted.is_met_by(notice.labels))
    paged = {shown(notice.labels): notice.labels for notice in course.notices if notice.firing}
    paged |= {shown(labels): labels for labels in course.unnotified}
    fire = course.scaled_back(max(fired.unix - course.fault_unix, 0.0)) if fired else None
    clear = _cleared(wanted, course) if fired else None
    severity = fired.labels.get("severity", "") if fired else ""
    problems = [*_too_many(wanted, paged), *_too_late(wanted, severity, fire)]
    if fired and not wanted.passes and not _stands(wanted, course):
        problems.append("resolved before the repair")
    if not course.quiet:
        problems.append("did not become quiet again")
    if bool(wanted.alert) != bool(tiles):
        problems.append("all tiles are green" if wanted.alert else "not all tiles are green")
    return Row(fault, told, str(wanted), sorted(paged), severity, fire, clear, tiles, problems)


def shown(labels: Labels) -> str:
    """Return an alert's name without the common prefix, with the labels that say whom it concerns."""
    told = ", ".join(labels[name] for name in SHOWN_LABELS if name in labels)
    name = labels["alertname"].removeprefix("Callworker")
    return f"{name} ({told})" if told else name


def _first(notices: Iterable[Notice]) -> Notice | None:
    return min(notices, key=lambda notice: notice.unix, default=None)


def _cleared(wanted: Wanted, course: Course) -> float | None:
    """Return when the last alert that was wanted was resolved, counted from the repair."""
    ends = [notice.unix for notice in course.notices if not notice.firing and wanted.is_met_by(notice.labels)]
    return course.scaled_back(max(max(ends) - course.repaired_unix, 0.0)) if ends else None


def _stands(wanted: Wanted, course: Course) -> bool:
    """Whether the alert was still on when the fault was repaired."""
    standing: dict[str, bool] = {}
    for notice in course.notices:
        if wanted.is_met_by(notice.labels) and notice.unix <= course.until_unix:
            standing[str(sorted(notice.labels.items()))] = notice.firing
    return any(standing.values())


def _too_many(wanted: Wanted, paged: Mapping[str, Labels]) -> list[str]:
    return [f"{name} pages" for name, labels in paged.items() if not wanted.is_met_by(labels)]


def _too_late(wanted: Wanted, severity: str, fire_seconds: float | None) -> list[str]:
    if not wanted.alert:
        return []
    if fire_seconds is None:
        return [f"{wanted} does not page"]
    within = WITHIN_SECONDS[severity]
    return [f"late: {fire_seconds:.0f} s, allowed are {within:.0f} s"] if fire_seconds > within else []
