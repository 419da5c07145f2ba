"""The lock files: whole, hashed, and good on other machines than the one that wrote them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME, BUILD, CHART, OTEL, DEVELOPMENT = (
    f"requirements{kind}.lock" for kind in ("", "-build", "-chart", "-otel", "-dev")
)


def pins(name: str) -> dict[str, str]:
    """Return for each package the lock file's entry after the name: version, marker and hashes."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {line.partition("==")[0]: line.partition("==")[2] for line in lines}


def names(requirements: list[Any]) -> set[str]:
    """Return the packages' names; a group that includes another one has an entry that is no text."""
    texts = [each for each in requirements if isinstance(each, str)]
    return {match[0] for match in (re.match(r"[\w-]+", each) for each in texts) if match}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [RUNTIME, BUILD, CHART, OTEL, DEVELOPMENT])
def test_lock_pins_every_package_with_hashes_and_names_no_index(name: str) -> None:
    """Each entry is a pin with a hash; nothing points at an index, a folder or an address."""
    assert all("--hash=sha256:" in rest for rest in pins(name).values())
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"^(-|--)|://|file:|/(opt|home|root|tmp|work)/", text, re.MULTILINE)


def test_locks_cover_what_the_project_asks_for(project: dict[str, Any]) -> None:
    """Every dependency is in its lock, those of development beside those of production."""
    groups = project["dependency-groups"]
    runtime, build = names(project["project"]["dependencies"]), names(groups["build"])
    assert runtime <= pins(RUNTIME).keys()
    assert build <= pins(BUILD).keys()
    assert names(groups["chart"]) <= pins(CHART).keys()
    assert runtime | names(project["project"]["optional-dependencies"]["otel"]) <= pins(OTEL).keys()
    assert runtime | build | names(groups["dev"]) <= pins(DEVELOPMENT).keys()


def test_build_lock_holds_what_builds_the_package(project: dict[str, Any]) -> None:
    """What is locked for the image's build stage is what [build-system] asks for."""
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]


@pytest.mark.parametrize("name", [RUNTIME, BUILD, CHART, OTEL])
def test_locks_agree_with_each_other(name: str) -> None:
    """The development lock, with which tests run, has the same versions as the other locks."""
    versions, development = (
        {package: rest.split()[0] for package, rest in pins(lock).items()} for lock in (name, DEVELOPMENT)
    )
    assert versions.items() & development.items() == {
        (package, version) for package, version in versions.items() if package in development
    }


@pytest.mark.parametrize("name", [RUNTIME, BUILD, OTEL])
def test_development_lock_holds_all_that_runs_or_builds(name: str) -> None:
    """Tests run with every package that a worker or the image's build stage is given."""
    assert pins(name).keys() <= pins(DEVELOPMENT).keys()


def test_image_is_built_from_files_that_its_context_holds() -> None:
    """What the Dockerfile copies gets past .dockerignore, and the development lock is not among it."""
    steps = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word for line in re.findall(r"^COPY (?!--)(.+) \S+$", steps, re.MULTILINE) for word in line.split()
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {RUNTIME, BUILD, OTEL, "worker"} <= copied
    assert DEVELOPMENT not in copied
    assert copied == {line[1:].rstrip("/") for line in ignored if line.startswith("!")}


def test_each_runtime_dependency_has_its_reason(project: dict[str, Any]) -> None:
    """The decision on runtime dependencies speaks of each one."""
    decision = (ROOT / "docs/decisions/0001-runtime-dependencies.md").read_text(encoding="utf-8")
    tables = "\n".join(line for line in decision.splitlines() if line.startswith("|"))
    assert {name for name in names(project["project"]["dependencies"]) if name not in tables} == set()
