"""What is refused before a number's row in the table is looked at."""

from __future__ import annotations

import pytest

from worker.sandbox import Sandbox
from worker.sandbox.validation import call_error

from .sandbox_client import KEY, Client

GOOD = {"country": "1", "phone": "2025550199", "code": "12345"}


@pytest.mark.parametrize(
    ("field", "value", "error_code"),
    [
        ("country", "", "INVALID_COUNTRY"),
        ("country", "1234", "INVALID_COUNTRY"),
        ("country", "+1", "INVALID_COUNTRY"),
        ("country", "1\n", "INVALID_COUNTRY"),
        ("phone", "", "INVALID_TELEPHONE"),
        ("phone", "202-555-0199", "INVALID_TELEPHONE"),
        ("phone", "199", "INVALID_TELEPHONE"),
        ("phone", "1" * 16, "INVALID_TELEPHONE"),
        ("phone", "٢٠٢٥٥٥٠١٩٩", "INVALID_TELEPHONE"),
        ("code", "", "INVALID_CODE"),
        ("code", "99", "INVALID_CODE"),
        ("code", "099", "INVALID_CODE"),
        ("code", "100000", "INVALID_CODE"),
        ("code", "12a45", "INVALID_CODE"),
        ("ext", "12,3", "INVALID_EXT"),
        ("message", "Klingon", "INVALID_MESSAGE"),
        ("message", "english", "INVALID_MESSAGE"),
    ],
)
def test_call_error_names_the_field_at_fault(field: str, value: str, error_code: str) -> None:
    """One bad value in an otherwise good call gives that field's code."""
    assert call_error(GOOD | {field: value}) == error_code


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"code": "100"},
        {"code": "99999"},
        {"country": "353"},
        {"ext": "42"},
        {"message": "Hebrew"},
        {"ext": ""},
    ],
)
def test_call_error_passes_good_values(others: dict[str, str]) -> None:
    """The limits themselves are inside, and optional fields may be blank."""
    assert call_error(GOOD | others) is None


@pytest.mark.parametrize("key", ["", "short", "G" * 32, KEY + "0"])
def test_ill_formed_key_is_refused_by_every_call(client: Client, key: str) -> None:
    """The key is looked at before anything else, by all three calls."""
    calls = ("telephonecall.json", "telephonestatus.json", "balance.json")
    assert [client.get(call, key=key).error_code for call in calls] == ["INVALID_KEY"] * 3


def test_named_keys_are_the_only_ones_accepted() -> None:
    """A well-formed key is refused if it is not among the keys named at start."""
    with Sandbox(keys=[KEY]) as sandbox:
        client = Client(sandbox)
        assert client.get("balance.json", key=KEY).content["response"]["balance"] == "124"
        assert client.get("balance.json", key="F" * 32).error_code == "INVALID_KEY"
        client.close()


def test_refused_fields_leave_the_row_untouched(client: Client) -> None:
    """A call refused for its code spends none of the number's two 503 answers."""
    assert client.call("2025550002", code="1").error_code == "INVALID_CODE"
    assert [client.call("2025550002").status for _ in range(3)] == [503, 503, 200]
