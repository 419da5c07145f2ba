"""The npm package in clients/node, built and packed once for a test run, and programs that use it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import absent

ROOT = Path(__file__).parents[2]
SECONDS = 100
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]


class Program:
    """An act of node_service/program.mjs under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self) -> Any:
        """Return the next thing that it tells; fail the test if it ends instead."""
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        return json.loads(line)

    def go_on(self) -> None:
        """Let it go on where it waits."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> list[Any]:
        """Return what else it tells, once it has ended by itself."""
        output, errors = self._process.communicate(timeout=SECONDS)
        assert self._process.returncode == 0, errors
        return [json.loads(line) for line in output.splitlines()]


@dataclass(frozen=True)
class NodePackage:
    """A copy of clients/node in `folder`, built and packed, and a service in it that has the packed one installed."""

    folder: Path

    @property
    def packed(self) -> Path:
        """The package as npm would publish it."""
        return self.folder / "package.tgz"

    def run(self, *command: str, folder: Path | None = None) -> str:
        """Run a command in the package's folder or in another one, and return its output. It must succeed."""
        done = subprocess.run(
            command,
            cwd=folder or self.folder,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def program(self, act: str, *, folder: Path | None = None, **given: Any) -> Iterator[Program]:
        """Run an act of the program in the service's folder or in another one, and end it afterwards."""
        with subprocess.Popen(
            ["node", "program.mjs", act, json.dumps(given)],
            cwd=folder or self.folder / "service",
            env=_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Program(process)
            finally:
                process.kill()

    def install(self, folder: Path) -> None:
        """Put the packed package, without anything that it needs, and the program into a folder."""
        packages = folder / "node_modules/callworker-client"
        packages.mkdir(parents=True)
        self.run("tar", "--strip-components=1", "-xzf", str(self.packed), folder=packages)
        shutil.copy(ROOT / "tests/contract/node_service/program.mjs", folder)


def node_package(folders: pytest.TempPathFactory) -> NodePackage:
    """Return the package. The first of the processes that run tests side by side builds it for all.

    Ends the test where npm is not here.
    """
    if shutil.which("npm") is None:
        absent("npm")
    base = folders.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "node-client"
    package = NodePackage(root / "clients/node")
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not package.packed.exists():
            _build(package, root)
    return package


def _build(package: NodePackage, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    made = shutil.ignore_patterns("node_modules", "dist", "generated.ts")
    for part in ("clients/node", "clients/cases", "clients/python/src/callworker/reading", "docs/reference"):
        shutil.copytree(ROOT / part, root / part, ignore=made)
    package.run(*INSTALL)
    package.run("npm", "pack", "--silent")
    (packed,) = package.folder.glob("*.tgz")
    packed.rename(package.packed)
    package.install(package.folder / "service")


def _environ() -> dict[str, str]:
    kept: Sequence[str] = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ}
