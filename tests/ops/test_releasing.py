"""All that is published has one version, and the changelog knows it."""

from __future__ import annotations

import json
import re

import yaml

import callworker
from ops.rollout.releases import HEADING
from tests.ops.examples import ROOT
from worker import __version__

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_version_is_the_newest_of_the_changelog_or_comes_next() -> None:
    """The newest heading is the version itself, or an older one, and then there is a place for its changes."""
    released = [_numbers(found) for found in HEADING.findall(CHANGELOG)]
    assert released == sorted(released, reverse=True)
    assert _numbers(__version__) >= released[0]
    assert CHANGELOG.index("## [Unreleased]") < CHANGELOG.index(f"## [{'.'.join(map(str, released[0]))}]")


def test_everything_that_is_published_has_the_same_version() -> None:
    """Worker, clients, chart and the image that the chart installs."""
    chart = yaml.safe_load((ROOT / "ops/helm/callworker/Chart.yaml").read_text(encoding="utf-8"))
    package, lock = (
        json.loads((ROOT / "clients/node" / name).read_text(encoding="utf-8"))["version"]
        for name in ("package.json", "package-lock.json")
    )
    found = {chart["version"], chart["appVersion"], callworker.__version__, package, lock}
    assert found == {__version__}


def test_files_that_releasing_names_hold_the_version() -> None:
    """The page names each file in which a version has to be written, and no other."""
    page = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    step = page.split("\n2. Check")[1].split("\n3. ")[0]
    files = [name for name in re.findall(r"`([\w./-]+)`", step) if not name.startswith("tests/")]
    assert len(files) == 5
    for file in files:
        assert __version__ in (ROOT / file).read_text(encoding="utf-8"), file


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
