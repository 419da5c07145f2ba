"""Makes a virtual environment with exactly the packages that a lock file names."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

_STAMP = "installed"


def python_in(folder: Path) -> Path:
    """Return the interpreter of the environment in a folder."""
    return folder / "bin" / "python"


def prepare(folder: Path, lock: Path) -> None:
    """Make the environment if it is missing or does not fit the lock file. Raises CalledProcessError."""
    stamp = folder / _STAMP
    wanted = f"{sys.version} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"installing {lock} into {folder}, once", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True, with_pip=False)
    command = [*_installer(python_in(folder)), "--require-hashes", "--requirement", str(lock)]
    subprocess.run(command, check=True)
    stamp.write_text(wanted, encoding="utf-8")


def _installer(python: Path) -> list[str]:
    """Return pip if this environment has it, because an operator's mirror is configured there; else the locked uv."""
    if importlib.util.find_spec("pip"):
        options = [
            "--quiet",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--only-binary",
            ":all:",
        ]
        return [sys.executable, "-m", "pip", "--python", str(python), "install", *options]
    uv = str(Path(sys.executable).with_name("uv"))
    return [uv, "pip", "install", "--quiet", "--no-build", "--python", str(python)]
