"""Reads Lua scripts from the files of a package."""

from __future__ import annotations

from importlib.resources import files


def texts(package: str) -> dict[str, str]:
    """Return all scripts of `package` by name. Call it when the package is imported.

    Scripts and their callers belong together: if an upgrade replaces the files under a running process, it must not
    take some of its scripts from the new version.
    """
    scripts = [file for file in (files(package) / "scripts").iterdir() if file.name.endswith(".lua")]
    return {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in scripts}
