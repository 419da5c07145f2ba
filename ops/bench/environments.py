"""A virtual environment for each peer, with exactly the packages that its lock file names."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent
PEERS = FOLDER / "peers"
ENVIRONMENTS = FOLDER / ".envs"
_STAMP = "installed"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return ENVIRONMENTS / peer / "bin" / "python"


def prepare(peers: Iterable[str]) -> None:
    """Make each environment that is missing or does not fit its lock file. Raises CalledProcessError."""
    for peer in sorted(set(peers)):
        if not _is_current(peer):
            print(f"installing {peer} into {python_of(peer).parents[1]}, once", file=sys.stderr)
            _make(peer)


def versions(peer: str) -> dict[str, str]:
    """The packages that a peer's lock file pins."""
    lines = _lock(peer).read_text(encoding="utf-8").splitlines()
    pins = (line.split(";")[0].rstrip(" \\").split("==") for line in lines if "==" in line)
    return {name: version for name, version in pins if not name.startswith((" ", "#"))}


def _lock(peer: str) -> Path:
    return PEERS / f"{peer}.txt"


def _stamp(peer: str) -> str:
    """Return the lock file and the interpreter, on which an environment depends, as one text."""
    return f"{sys.version} {hashlib.sha256(_lock(peer).read_bytes()).hexdigest()}"


def _is_current(peer: str) -> bool:
    stamp = ENVIRONMENTS / peer / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp(peer)


def _make(peer: str) -> None:
    folder = ENVIRONMENTS / peer
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True, with_pip=False)
    subprocess.run([*_installer(peer), "--require-hashes", "--requirement", str(_lock(peer))], check=True)
    (folder / _STAMP).write_text(_stamp(peer), encoding="utf-8")


def _installer(peer: str) -> list[str]:
    """Return pip if this environment has it, because an operator's mirror is configured there; else the locked uv."""
    python = str(python_of(peer))
    if importlib.util.find_spec("pip"):
        options = [
            "--quiet",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--only-binary",
            ":all:",
        ]
        return [sys.executable, "-m", "pip", "--python", python, "install", *options]
    uv = str(Path(sys.executable).with_name("uv"))
    return [uv, "pip", "install", "--quiet", "--no-build", "--python", python]
