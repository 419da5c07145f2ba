"""Network namespaces that stand for machines, on one network with this machine (Linux, as root)."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Self

from tests.faults.namespace import ip
from tests.faults.servers import ServerTrouble

MAX_TRIES = 20
FIRST_HOST = 11
BUFFER = "4096 8192 16384"
"""How many bytes a connection between machines buffers, at least, at first and at most: with the usual megabytes,
a replica that stands still would get later what the primary had already sent."""


@cache
def allowed() -> bool:
    """Return whether this user may make such a network."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    try:
        with Network(1):
            return True
    except ServerTrouble:
        return False


@dataclass(frozen=True)
class Machine:
    """A namespace. `guest` is its address, `host` that of this machine on the same network."""

    name: str
    guest: str
    host: str

    @property
    def command(self) -> list[str]:
        """The prefix that runs a command there; the command's process keeps its id."""
        return ["ip", "netns", "exec", self.name]


class Network:
    """Machines on a bridge. A context manager that makes them, and removes them with the bridge."""

    def __init__(self, machines: int = 3) -> None:
        self._count = machines
        self.machines: Sequence[Machine] = ()
        self._cut: set[tuple[Machine, Machine]] = set()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._bridge, network = self._make_bridge(exits)
            self.machines = [self._make(exits, network, n) for n in range(self._count)]
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def host(self) -> str:
        """This machine's address there."""
        return self.machines[0].host

    def part(self, alone: Machine) -> None:
        """Cut one machine off from the others: packets vanish in both directions. All still reach this machine."""
        for one, other in permutations(self.machines, 2):
            if alone in (one, other):
                ip("-n", one.name, "route", "add", "blackhole", f"{other.guest}/32")
                self._cut.add((one, other))

    def join(self) -> None:
        """Let all machines reach each other again."""
        while self._cut:
            one, other = self._cut.pop()
            ip("-n", one.name, "route", "del", "blackhole", f"{other.guest}/32")

    def _make_bridge(self, exits: ExitStack) -> tuple[str, str]:
        """Return the bridge's name, and the first three numbers of the addresses on it."""
        for number in random.sample(range(256), MAX_TRIES):
            bridge = f"cwb{number}"
            try:
                # Installations side by side have bridges at the same time.
                ip("link", "add", bridge, "type", "bridge")
            except ServerTrouble:
                continue
            exits.callback(ip, "link", "del", bridge)
            ip("addr", "add", f"10.204.{number}.1/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            return bridge, f"10.204.{number}"
        raise ServerTrouble("no bridge could be made")

    def _make(self, exits: ExitStack, network: str, number: int) -> Machine:
        machine = Machine(
            f"{self._bridge}p{os.getpid()}m{number}", f"{network}.{FIRST_HOST + number}", f"{network}.1"
        )
        near = f"{self._bridge}v{number}"
        ip("netns", "add", machine.name)
        exits.callback(ip, "netns", "del", machine.name)
        ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
        # It goes with its namespace, but that may be long after the namespace was deleted.
        exits.callback(ip, "link", "del", near)
        ip("link", "set", near, "master", self._bridge, "up")
        ip("-n", machine.name, "addr", "add", f"{machine.guest}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            ip("-n", machine.name, "link", "set", name, "up")
        for kind in ("rmem", "wmem"):
            ip("netns", "exec", machine.name, "sysctl", "-qw", f"net.ipv4.tcp_{kind}={BUFFER}")
        return machine
