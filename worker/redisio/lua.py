"""Lua scripts as files of a package."""

from __future__ import annotations

from importlib.resources import files


def texts(package: str) -> dict[str, str]:
    """All scripts of `package` by their names, to be read as it is imported.

    Scripts and those who call them belong together: a process whose files are replaced as it runs, by an upgrade in
    place, must not take half of its scripts from the new version.
    """
    scripts = [file for file in (files(package) / "scripts").iterdir() if file.name.endswith(".lua")]
    return {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in scripts}
