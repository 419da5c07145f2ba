"""Bodies in both formats."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from worker.sandbox.behaviours import TABLE, Refuses
from worker.sandbox.rendering import ERROR_MESSAGES, render, render_failed, render_ref

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"


def test_json_is_the_documented_envelope() -> None:
    """Version, encoding and the response stand side by side."""
    assert json.loads(render_ref("json", REF, unquoted=False)) == {
        "version": "1.0",
        "encoding": "UTF-8",
        "response": {"ref": REF},
    }


def test_xml_escapes_what_it_holds() -> None:
    """Markup in a value comes back as text."""
    root = ElementTree.fromstring(render("xml", "response", {"ref": "<a&b>"}))
    assert (root.tag, root.findtext("ref")) == ("response", "<a&b>")


@pytest.mark.parametrize("error_code", sorted(ERROR_MESSAGES))
def test_failed_bodies_say_the_same_in_both_formats(error_code: str) -> None:
    """Code and message are equal in JSON and XML."""
    failed = json.loads(render_failed("json", error_code))["failed"]
    root = ElementTree.fromstring(render_failed("xml", error_code))
    assert failed == {child.tag: child.text for child in root}
    assert failed["error_code"] == error_code


def test_every_refusal_of_the_table_has_a_message() -> None:
    """No row can name an error code that has no text."""
    refusals = {step.error_code for row in TABLE.values() for step in row if isinstance(step, Refuses)}
    assert refusals <= ERROR_MESSAGES.keys()
