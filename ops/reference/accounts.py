"""The tables of an account's fields and of a webhook's, from the models that read the file."""

from __future__ import annotations

import json
from typing import Any

from ops.reference.tables import code, table
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint

NAME = "name"
"""The account's name: the table's own in the file."""


def account_fields() -> str:
    """A row for each field of `[accounts.NAME]`."""
    return _fields(Account)


def webhook_fields() -> str:
    """A row for each field of `[[accounts.NAME.webhooks]]`."""
    return _fields(Endpoint)


def _fields(model: type[Account] | type[Endpoint]) -> str:
    schema = model.model_json_schema()
    rows = [
        (code(name), _default(name, field, schema), _type(field), field.get("description", ""))
        for name, field in schema["properties"].items()
        if model is not Account or name != NAME
    ]
    return table(("field", "default", "type", "meaning"), rows)


def _default(name: str, field: dict[str, Any], schema: dict[str, Any]) -> str:
    if name in schema["required"]:
        return "required"
    return "" if field["default"] in (None, []) else code(json.dumps(field["default"]))


def _type(field: dict[str, Any]) -> str:
    return ", or ".join(_form(form) for form in field.get("anyOf", [field]) if form.get("type") != "null")


def _is_table(items: dict[str, Any]) -> bool:
    return bool(items.get("$ref", "").endswith(f"/{Endpoint.__name__}"))


def _form(form: dict[str, Any]) -> str:
    if form["type"] == "integer":
        return f"whole number, {_bounds(form)}"
    if form["type"] == "boolean":
        return "`true` or `false`"
    if form["type"] == "array":
        return "tables" if _is_table(form["items"]) else _list(form["items"])
    return "path" if form.get("format") == "path" else "string"


def _list(items: dict[str, Any]) -> str:
    return f"list of numbers, {_bounds(items)}" if items.get("type") == "integer" else "list of strings"


def _bounds(form: dict[str, Any]) -> str:
    return f"{form['minimum']} to {form['maximum']}"
