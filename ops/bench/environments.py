"""A virtual environment for each peer, with exactly the packages that its lock file names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ops import environments

FOLDER = Path(__file__).parent
PEERS = FOLDER / "peers"
ENVIRONMENTS = FOLDER / ".envs"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return environments.python_in(ENVIRONMENTS / peer)


def prepare(peers: Iterable[str]) -> None:
    """Make each environment that is missing or does not fit its lock file. Raises CalledProcessError."""
    for peer in sorted(set(peers)):
        environments.prepare(ENVIRONMENTS / peer, _lock(peer))


def versions(peer: str) -> dict[str, str]:
    """The packages that a peer's lock file pins."""
    lines = _lock(peer).read_text(encoding="utf-8").splitlines()
    pins = (line.split(";")[0].rstrip(" \\").split("==") for line in lines if "==" in line)
    return {name: version for name, version in pins if not name.startswith((" ", "#"))}


def _lock(peer: str) -> Path:
    return PEERS / f"{peer}.txt"
