"""`python -m ops.site`: builds build/docs, or says what is wrong and ends with exit status 1."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.site.checking import dead_runbooks, problems
from ops.site.staging import documentation, linked, stage

ROOT = Path(__file__).parents[2]
PAGES, SITE = ROOT / "build/pages", ROOT / "build/docs"
RULES = ROOT / "ops/prometheus/alerts.yml"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Build the site and check it. Returns the exit status."""
    stage(ROOT, PAGES)
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    told = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    faults = [*not_in_navigation(ROOT), *problems(SITE), *dead_runbooks(SITE, RULES)]
    if told.returncode:
        faults.append(_COLOURS.sub("", told.stdout + told.stderr).partition("Traceback")[0])
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    print(f"the documentation is in {SITE.relative_to(ROOT)}/index.html")
    return 0


def not_in_navigation(root: Path) -> list[str]:
    """A line for each page that neither zensical.toml lists nor its folder's README.md links to."""
    settings = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))
    listed = {root / name for name in _listed(settings["project"]["nav"])}
    for page in [path for path in listed if path.name == "README.md" and path.is_file()]:
        listed.update(linked(page))
    missing = [path.relative_to(root) for path in documentation(root) if path not in listed]
    return [f"zensical.toml: nav does not list {path}" for path in missing]


def _listed(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from _listed(part)


if __name__ == "__main__":
    sys.exit(main())
