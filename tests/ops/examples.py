"""The jobs and events that README and pages show, and the validators of their schemas."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from worker.core.events import tells_of_job

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "ops").glob("*.md")))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
JOB_FIELDS = {"account", "country", "phone", "code"}
EVENT_FIELDS = {"id", "type", "data"}


def schema(name: str) -> dict[str, Any]:
    """One of the schemas that are kept in docs/reference."""
    found: dict[str, Any] = json.loads((REFERENCE / name).read_text(encoding="utf-8"))
    return found


def _as_ecma(part: dict[str, Any]) -> dict[str, Any]:
    """The part with patterns that end at the end, as in ECMA-262; Python's `$` is also before a last line break."""
    pattern = part.get("pattern")
    return part | {"pattern": re.sub(r"\$$", r"\\Z", pattern)} if isinstance(pattern, str) else part


def validator(name: str, pointer: str = "") -> Draft202012Validator:
    """For a whole schema, or the part of it that `pointer` names, as "#/$defs/fields"."""
    whole = json.loads((REFERENCE / name).read_text(encoding="utf-8"), object_hook=_as_ecma)
    return Draft202012Validator({"$ref": pointer, "$defs": whole["$defs"]} if pointer else whole)


def shown() -> Iterator[dict[str, Any]]:
    """Each JSON object and each dict literal in the code of the pages. What is left out with … is no example."""
    for page in PAGES:
        for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
            yield from _python(code) if language == "python" else _json(code)


def schema_for(example: dict[str, Any]) -> str:
    """The name of the schema that a shown job or event must fit."""
    if "type" not in example:
        return "job.schema.json"
    if tells_of_job(example["type"]):
        return "event.schema.json"
    return f"{example['type'].partition('.')[0]}-event.schema.json"


def jobs() -> list[dict[str, Any]]:
    return [found for found in shown() if found.keys() >= JOB_FIELDS]


def events() -> list[dict[str, Any]]:
    return [found for found in shown() if found.keys() >= EVENT_FIELDS]


def _json(code: str) -> Iterator[dict[str, Any]]:
    decoder, start = json.JSONDecoder(), code.find('{"')
    while start >= 0:
        try:
            found, end = decoder.raw_decode(code, start)
            yield found
        except ValueError:
            end = start + 1
        start = code.find('{"', end)


def _python(code: str) -> Iterator[dict[str, Any]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Dict):
            try:
                yield ast.literal_eval(node)
            except ValueError:
                continue
