"""Places where a test can cause a fault from outside, to show what a crash there does. They do nothing unless armed.

With `CALLWORKER_FAILPOINTS="settle.before=kill@3 connect.after=stop:20 relay.before=raise@2"` this process kills itself
before the third settling, is frozen for 20 s after the first connect, and raises in the second turn of the relay.
`POINTS` lists the places in the order in which a job passes them. Each one fires once.
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
    """The error of an armed `raise`: one that no code expects."""


class _Failpoint:
    """One armed place. On pass number `at` it prints a line on standard error and calls `act`."""

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
    """Arm the places in `orders`, and no others. Raises ConfigurationError, which quotes an invalid order."""
    _armed.clear()
    for order in orders.split():
        match = _ORDER.fullmatch(order)
        if not match or match[1] not in POINTS:
            raise ConfigurationError(
                f"{VARIABLE}: {order[:80]!r} is not POINT=kill|raise|stop:SECONDS[@PASS]"
            )
        _armed[match[1]] = _Failpoint(match[1], _action(match), int(match[4] or 1))


def arm_from(environ: Mapping[str, str] = os.environ) -> None:
    """Arm the places that the environment names."""
    arm(environ.get(VARIABLE, ""))


def hit(point: str) -> None:
    """Pass a place, and cause its fault if it is due."""
    if _armed and (failpoint := _armed.get(point)):
        failpoint.passed()


def is_armed(point: str) -> bool:
    """Tell whether `point` is armed, for places where calling `hit` needs some preparation."""
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
    """Stop this process, as a debugger or a suspended machine does. Another process wakes it."""
    pid = os.getpid()
    subprocess.Popen(["/bin/sh", "-c", f"sleep {seconds}; kill -CONT {pid}"], start_new_session=True)
    os.kill(pid, signal.SIGSTOP)
