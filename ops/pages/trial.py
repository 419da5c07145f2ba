"""One fault in one scene, from quiet to quiet."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ops.pages import tiles
from ops.pages.fault import Fault
from ops.pages.monitoring import Labels
from ops.pages.scene import Scene
from ops.pages.verdict import TROUBLE, Course, Row, Wanted, judge
from tests.faults.servers import ServerTrouble

WARM_SECONDS = 300.0
"""How much normal load Prometheus has seen before the fault: as much as most rules look back."""

QUIET_WITHIN_SECONDS, FIRES_WITHIN_SECONDS = 1200.0, 600.0
STAYS_SECONDS = 300.0
"""How long a fault lasts on after its alert, to see what else pages."""

CLEARS_WITHIN_SECONDS = 2400.0
LOOK_SECONDS = 0.25
NOTIFIED_AFTER_SECONDS = 90.0
"""An alert that is active and not inhibited for longer than this pages, though its group was not notified again."""


class Trial:
    """A fault and its scene. All times but `LOOK_SECONDS` are divided by the factor."""

    def __init__(self, fault: Fault, scene: Scene, factor: float) -> None:
        self._fault, self._scene, self._factor = fault, scene, factor
        self._monitoring = scene.monitoring
        self._wanted = Wanted(fault.alert, fault.labels, fault.passes)
        self._since = time.time()
        self._active: dict[str, tuple[float, Labels]] = {}
        self._unnotified: dict[str, Labels] = {}

    def run(self) -> Row:
        """Wait for quiet, put the fault in, wait for its alert, repair it, and wait for quiet again."""
        self._begin()
        before = tiles.not_green(self._monitoring.prometheus, self._factor)
        with ExitStack() as faulty:
            self._since = time.time()
            faulty.enter_context(self._fault.put(self._scene))
            put_in = self._scene.began_unix or time.time()
            self._tell("the fault is in")
            self._watch()
            seen = tiles.not_green(self._monitoring.prometheus, self._factor)
            until = time.time()
        repaired = time.time()
        seen = [tile for tile in seen if tile not in before] if self._wanted.alert else seen
        self._tell("repaired")
        quiet = self._wait(self._is_quiet, CLEARS_WITHIN_SECONDS)
        notices = self._monitoring.pager.notices(self._since)
        own = self._fault.own_seconds
        course = Course(
            put_in, until, repaired, notices, list(self._unnotified.values()), quiet, self._factor, own
        )
        return judge(self._fault.name, self._fault.told, self._wanted, course, seen)

    def _begin(self) -> None:
        self._pass(WARM_SECONDS)
        if not self._wait(self._is_quiet, QUIET_WITHIN_SECONDS):
            raise ServerTrouble(f"not quiet before the fault: {self._monitoring.prometheus.alerts()}")

    def _watch(self) -> None:
        if not self._fault.alert:
            self._pass(self._fault.lasts_seconds)
            return
        self._wait(self._has_fired, FIRES_WITHIN_SECONDS + self._fault.own_seconds * self._factor)
        self._tell("it has fired" if self._has_fired() else "it has not fired")
        self._pass(STAYS_SECONDS)

    def _has_fired(self) -> bool:
        notices = self._monitoring.pager.notices(self._since)
        return any(notice.firing and self._wanted.is_met_by(notice.labels) for notice in notices)

    def _is_quiet(self) -> bool:
        """No alert is pending or fires, and for each page there was an all-clear."""
        standing: dict[str, bool] = {}
        for notice in self._monitoring.pager.notices():
            standing[str(sorted(notice.labels.items()))] = notice.firing
        return not any(standing.values()) and not self._monitoring.prometheus.alerts()

    def _pass(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)

    def _wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look on until it holds. Returns whether it did within so many seconds of the shipped rules' time."""
        ends = time.monotonic() + seconds / self._factor
        while time.monotonic() < ends:
            self._look()
            if holds():
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def _look(self) -> None:
        """Note the alerts that Alertmanager holds active for long, whether or not it has told of them yet."""
        now, active = time.monotonic(), self._monitoring.alertmanager.active()
        names = {str(sorted(labels.items())): labels for labels in active}
        self._active = {name: self._active.get(name, (now, labels)) for name, labels in names.items()}
        for name, (since, labels) in self._active.items():
            if (now - since) * self._factor > NOTIFIED_AFTER_SECONDS:
                self._unnotified[name] = labels

    def _tell(self, what: str) -> None:
        shown = sorted(
            {notice.name for notice in self._monitoring.pager.notices(self._since) if notice.firing}
        )
        print(
            f"{self._fault.name}: {what}, {time.time() - self._since:.1f} s; paged: {shown}", file=sys.stderr
        )


def run(fault: Fault, factor: float) -> Row:
    """Try a fault in a scene of its own. Trouble of the harness itself is the row's only problem."""
    factor = min(factor, fault.most_factor)
    with tempfile.TemporaryDirectory(prefix="cw-pages-") as name:
        try:
            with Scene(Path(name), factor, fault.settings) as scene:
                return Trial(fault, scene, factor).run()
        except (ServerTrouble, OSError) as error:
            problem = f"{TROUBLE}: {type(error).__name__}: {error}"
            return Row(fault.name, fault.told, str(Wanted(fault.alert, fault.labels)), problems=[problem])
