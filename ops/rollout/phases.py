"""What is done to the workers while the load goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.rollout.releases import TODAY, Version
from ops.rollout.scene import Scene

ROUNDS = 10
PAUSE_SECONDS, TOGETHER_SECONDS, APART_SECONDS = 3.0, 20.0, 5.0
"""Between two replacements; how long both versions run side by side; how long two workers have different files."""


@dataclass(frozen=True)
class Step:
    """A phase: its name, what the table says of it, whether each worker is today's at its beginning, and what is done.

    `act` is given the older version, and returns a remark.
    """

    name: str
    told: str
    today: Sequence[bool]
    act: Callable[[Scene, Version], str]

    def begin(self, scene: Scene, old: Version) -> None:
        """Bring the versions about that it begins with."""
        scene.become([TODAY if today else old for today in self.today])


def _upgrade(scene: Scene, _: Version) -> str:
    return _replace_all(scene, TODAY)


def _rollback(scene: Scene, old: Version) -> str:
    return _replace_all(scene, old)


def _replace_all(scene: Scene, version: Version) -> str:
    """Replace the workers one after the other, in both ways to do it."""
    for turn, member in enumerate([each for each in scene.members if each.version != version]):
        scene.watch(PAUSE_SECONDS)
        scene.replace(member, version, stop_first=bool(turn % 2))
    scene.watch(PAUSE_SECONDS)
    return ""


def _restarts(scene: Scene, _: Version) -> str:
    """Restart all workers ten times: as Kubernetes does, with the new one first, and as systemd does, in turn."""
    for turn in range(ROUNDS):
        for member in list(scene.members):
            scene.replace(member, member.version, stop_first=bool(turn % 2))
        scene.tell(f"restart {turn + 1} of {ROUNDS}")
    return ""


def _together(scene: Scene, _: Version) -> str:
    scene.watch(TOGETHER_SECONDS)
    return ""


def _accounts_by_restart(scene: Scene, _: Version) -> str:
    """Raise a limit and lower it; each time one worker is restarted with the new file, and a while later the other."""

    def act() -> float:
        first, second = scene.members
        scene.launch(first.version)
        changed = time.time()
        scene.stop(first)
        scene.watch(APART_SECONDS)
        scene.replace(second, second.version)
        return changed

    return "; ".join(scene.change(rate, act) for rate in (15, 4))


def _accounts_live(scene: Scene, _: Version) -> str:
    """Raise a limit and lower it; each time the file of one worker is changed, and a while later that of the other."""

    def act() -> float:
        first, second = scene.members
        scene.rewrite(first)
        changed = time.time()
        scene.watch(APART_SECONDS)
        scene.rewrite(second)
        return changed

    return "; ".join(scene.change(rate, act) for rate in (16, 5))


STEPS = (
    Step("upgrade", "upgrade, one worker after the other", (False, False), _upgrade),
    Step("restarts", f"{ROUNDS} rolling restarts", (True, True), _restarts),
    Step("together", "both versions side by side", (False, True), _together),
    Step("rollback", "rollback, one worker after the other", (True, True), _rollback),
    Step("accounts", "a changed accounts file, by restart", (False, False), _accounts_by_restart),
    Step("live", "a changed accounts file, while workers run", (True, True), _accounts_live),
)
