"""`python -m ops.reference FOLDER`: writes the sections of all pages in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.reference.sections import filled


def write(folder: Path) -> None:
    """Fill each page of the folder in place."""
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
