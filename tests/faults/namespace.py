"""A network for the workers alone, joined to this machine by one cable that can be pulled (Linux, as root)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from typing import Protocol, Self

from tests.faults.servers import ServerTrouble


class Place(Protocol):
    """Where a worker runs: `guest` is its address there, `host` this machine's as seen from there, and `command` the
    prefix that runs a command there."""

    @property
    def guest(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def command(self) -> list[str]: ...


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
            ip("netns", "add", self.name)
            # Deleting the namespace also removes the far interface and its pair, the near one.
            exits.callback(ip, "netns", "del", self.name)
            ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self.name)
            ip("addr", "add", f"{self.host}/30", "dev", self._near)
            ip("-n", self.name, "addr", "add", f"{self.guest}/30", "dev", self._far)
            ip("-n", self.name, "link", "set", "lo", "up")
            ip("-n", self.name, "link", "set", self._far, "up")
            ip("link", "set", self._near, "up")
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
            ip("link", "set", self._near, state)
        else:
            ip("-n", self.name, "link", "set", self._far, state)


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, timeout=20)
    if done.returncode:
        raise ServerTrouble(f"ip {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
