"""All phases on one broker, one after the other, under one load."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ops.rollout.judging import Phase, Row, Seen, judge
from ops.rollout.phases import Step
from ops.rollout.releases import BUILT, Version
from ops.rollout.scene import HOOKED, LIMITED, PROMPT, Scene

DRAINED_WITHIN_SECONDS = 120.0
LOGS = BUILT / "logs"
"""Where the workers' logs of a run are kept in which a promise was broken."""


def run(broker: str, steps: Sequence[Step], old: Version) -> list[Row]:
    """Return a row for each phase. Raises ServerTrouble if the harness itself could not go on."""
    with tempfile.TemporaryDirectory(prefix="cw-rollout-") as name, Scene(broker, Path(name)) as scene:
        steps[0].begin(scene, old)
        scene.load.start()
        phases = [_phase(step, scene, old) for step in steps]
        scene.drain(DRAINED_WITHIN_SECONDS)
        seen = Seen(
            scene.load.jobs,
            scene.provider.served(),
            scene.arrivals.queued,
            scene.arrivals.hooked,
            HOOKED,
            LIMITED,
            PROMPT,
            scene.limits,
        )
        rows = [judge(broker, phase, seen) for phase in phases]
        if any(row.bad for row in rows):
            shutil.copytree(scene.logs, LOGS / broker, dirs_exist_ok=True)
        return rows


def _phase(step: Step, scene: Scene, old: Version) -> Phase:
    """Carry out a phase; what brings about its beginning is a part of it."""
    stops, problems, began = len(scene.stops), len(scene.problems), time.time()
    step.begin(scene, old)
    remark = step.act(scene, old)
    scene.tell(f"{step.name} is over")
    return Phase(step.told, began, time.time(), scene.stops[stops:], scene.problems[problems:], remark)
