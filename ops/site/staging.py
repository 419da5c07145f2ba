"""Copies the sources of the site: the documentation and every file of the repository that it links to.

Each file keeps its path in the repository, so that a relative link is right in both places.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FIRST = ("README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CHANGELOG.md")
ASSETS = [Path(__file__).with_name(name) for name in ("iframe-worker.js", "site.css")]

_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def documentation(root: Path) -> list[Path]:
    """The pages of the site, without those that are only reached by a link."""
    return [*(root / name for name in FIRST), *sorted((root / "docs").rglob("*.md"))]


def linked(page: Path) -> Iterator[Path]:
    """The files and folders that a Markdown page links to, whether they exist or not."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        yield (page.parent / target).resolve()


def everything(root: Path) -> set[Path]:
    """All files of the site inside `root`: the documentation, and everything that it links to, directly or not."""
    found: set[Path] = set()
    waiting = documentation(root)
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file() or not path.is_relative_to(root):
            continue
        found.add(path)
        if path.suffix == ".md":
            waiting += linked(path)
    return found


def stage(root: Path, folder: Path) -> None:
    """Fill `folder` with the files of the site, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in everything(root):
        _copy(source, folder / source.relative_to(root))
    for asset in ASSETS:
        _copy(asset, folder / "assets" / asset.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
