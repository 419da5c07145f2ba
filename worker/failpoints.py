"""Places at which a fault can be put in from outside, to prove what a crash there does; idle unless armed.

`CALLWORKER_FAILPOINTS="settle.before=kill@3 connect.after=stop:20 relay.before=raise@2"`: at the third settling this
process kills itself, after the first connect it is frozen for 20 s, the second relay turn raises. `POINTS` lists the
places, in the order in which a job passes them. Each fires once.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from worker.errors import ConfigurationError

VARIABLE = "CALLWORKER_FAILPOINTS"
STEPS = (
    "fetch", "decode", "admit", "acknowledge", "release", "dial", "connect", "first_byte", "last_byte", "answer",
    "park", "settle", "relay", "confirm", "delivery",
)  # fmt: skip
POINTS = tuple(f"{step}.{side}" for step in STEPS for side in ("before", "after"))

_ORDER = re.compile(r"([a-z_]+\.(?:before|after))=(kill|raise|stop:([0-9]{1,4}))(?:@([1-9][0-9]{0,5}))?")


class FailpointReached(Exception):
    """What an armed `raise` raises: an error that nobody foresaw."""


class _Failpoint:
    """One armed place: says so on standard error and does `act` at the `at`th pass."""

    def __init__(self, point: str, act: Callable[[], None], at: int) -> None:
        self._point, self._act, self._left = point, act, at
        self._lock = threading.Lock()

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            fires = self._left == 0
        if fires:
            print(f"failpoint {self._point} reached", file=sys.stderr, flush=True)
            self._act()


_armed: dict[str, _Failpoint] = {}


def arm(orders: str) -> None:
    """Arm the places named in `orders`, and no others. Raises ConfigurationError naming what is not understood."""
    _armed.clear()
    for order in orders.split():
        match = _ORDER.fullmatch(order)
        if not match or match[1] not in POINTS:
            raise ConfigurationError(
                f"{VARIABLE}: {order[:80]!r} is not POINT=kill|raise|stop:SECONDS[@PASS]"
            )
        _armed[match[1]] = _Failpoint(match[1], _action(match), int(match[4] or 1))


def arm_from(environ: Mapping[str, str] = os.environ) -> None:
    """Arm what the environment says; nothing, where it says nothing."""
    arm(environ.get(VARIABLE, ""))


def hit(point: str) -> None:
    """Pass a place."""
    if _armed and (failpoint := _armed.get(point)):
        failpoint.passed()


def is_armed(point: str) -> bool:
    """Whether something was ordered for `point`: for a place that would cost something to pass."""
    return point in _armed


def _action(order: re.Match[str]) -> Callable[[], None]:
    if order[2] == "kill":
        return lambda: os.kill(os.getpid(), signal.SIGKILL)
    if order[2] == "raise":
        return _raise
    return lambda: _freeze(int(order[3]))


def _raise() -> None:
    raise FailpointReached("a failpoint was reached")


def _freeze(seconds: int) -> None:
    """Stop this process, as a debugger or a suspended machine would; another one wakes it."""
    pid = os.getpid()
    subprocess.Popen(["/bin/sh", "-c", f"sleep {seconds}; kill -CONT {pid}"], start_new_session=True)
    os.kill(pid, signal.SIGSTOP)
