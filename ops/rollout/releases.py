"""The last release, from git, with an environment of its own: what an installation runs before it is upgraded."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ops import environments
from tests.faults.servers import PROJECT
from tests.integration.stack import Spawn, spawn
from worker import __version__

BUILT = PROJECT / "build" / "rollout"
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.MULTILINE)
TAG = re.compile(r"v?(\d+\.\d+\.\d+)")


class NoRelease(Exception):
    """The release to begin with is not known or not in this clone."""


@dataclass(frozen=True)
class Version:
    """A version of the program: its name, and how a worker of it is started."""

    name: str
    spawn: Spawn


TODAY = Version(__version__, spawn)


def last_release(changelog: str, version: str) -> str:
    """Return the newest version of a changelog, apart from the one that is being made. Raises NoRelease."""
    found = next((each for each in HEADING.findall(changelog) if each != version), None)
    if found is None:
        raise NoRelease("CHANGELOG.md names no earlier release; name a tag or a commit: OLD=…")
    return f"v{found}"


def prepare(wanted: str) -> Version:
    """Return the version of a tag or commit, with its files and its packages in build/. Raises NoRelease."""
    commit = commit_of(wanted)
    folder = BUILT / commit[:12]
    code = folder / "code"
    if not code.exists():
        _unpack(commit, code)
    environments.prepare(folder / "environment", code / "requirements.lock")
    python = str(environments.python_in(folder / "environment").absolute())
    name = subprocess.run(
        [python, "-c", "import worker; print(worker.__version__)"],
        cwd=code,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return Version(name, partial(spawn, python=python, cwd=code))


def commit_of(wanted: str, clone: Path = PROJECT) -> str:
    """Return the commit of a tag or another name of git. A clone without the tag has the release's own commit."""
    found = _git(clone, "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    if not found and (named := TAG.fullmatch(wanted)):
        subject = f"^Release {re.escape(named[1])}$"
        found = _git(clone, "log", "--all", "--max-count=1", "--format=%H", f"--grep={subject}")
    if not found:
        raise NoRelease(f"git finds no {wanted} here; fetch the tags, or name another tag or commit: OLD=…")
    return found


def _unpack(commit: str, code: Path) -> None:
    """Write the commit's files under another name first, so that a half of them is never taken for all."""
    archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, check=True, capture_output=True).stdout  # noqa: S607
    begun = code.with_name(f"{code.name}.begun")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(begun, filter="data")
    begun.replace(code)


def _git(clone: Path, *words: str) -> str:
    """Return what a command of git prints; nothing if it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=clone, capture_output=True, text=True, check=False)  # noqa: S607
    except OSError as error:
        print(f"git: {error}", file=sys.stderr)
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
