"""A network for the workers alone, joined to this machine by one cable that can be pulled (Linux, as root)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from typing import Self

from tests.faults.servers import ServerTrouble

NETWORKS = 64 * 256
"""Networks of four addresses in 10.203.0.0/16."""


@cache
def allowed() -> bool:
    """Return whether this user may make network namespaces."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    try:
        with Namespace():
            return True
    except ServerTrouble:
        return False


class Namespace:
    """A network namespace and a pair of virtual interfaces. A context manager that removes both.

    `host` is this machine's address on the cable, `guest` that of the processes inside.
    """

    def __init__(self) -> None:
        # Random, because installations side by side have networks at the same time.
        number = random.randrange(NETWORKS)
        self.name = f"cw{os.getpid()}n{number}"
        self._near, self._far = f"{self.name}h"[-15:], f"{self.name}g"[-15:]
        third, fourth = divmod(number * 4, 256)
        self.host, self.guest = f"10.203.{third}.{fourth + 1}", f"10.203.{third}.{fourth + 2}"
        self._exits = ExitStack()

    @property
    def command(self) -> list[str]:
        """The prefix that runs a command inside; the command's process keeps its id."""
        return ["ip", "netns", "exec", self.name]

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            _ip("netns", "add", self.name)
            # Deleting the namespace also removes the far interface and its pair, the near one.
            exits.callback(_ip, "netns", "del", self.name)
            _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self.name)
            _ip("addr", "add", f"{self.host}/30", "dev", self._near)
            _ip("-n", self.name, "addr", "add", f"{self.guest}/30", "dev", self._far)
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "link", "set", self._far, "up")
            _ip("link", "set", self._near, "up")
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def pull(self, *, here: bool) -> None:
        """Cut the cable at this machine's end (packets vanish) or at the workers' end (their network is gone)."""
        self._set("down", here=here)

    def plug(self, *, here: bool) -> None:
        """Reconnect the cable that `pull` cut."""
        self._set("up", here=here)

    def _set(self, state: str, *, here: bool) -> None:
        if here:
            _ip("link", "set", self._near, state)
        else:
            _ip("-n", self.name, "link", "set", self._far, state)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, timeout=20)
    if done.returncode:
        raise ServerTrouble(f"ip {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
