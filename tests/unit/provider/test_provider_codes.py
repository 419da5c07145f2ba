"""The operator's table of the provider's error codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import AccountProblem, ConfigurationError, Refused, Retry
from worker.provider.codes import Codes
from worker.settings import config_file


def test_shipped_table_classes_every_code_that_is_known() -> None:
    """The documented and the observed codes, as the provider notes class them."""
    codes = Codes.load(config_file("provider_errors.toml"))
    assert codes.classes == {
        "INVALID_TELEPHONE": "refused",
        "INVALID_KEY": "account",
        "INVALID_TELEREFERENCE": "refused",
        "NO_POINTS": "account",
    }


def test_class_decides_what_happens_next() -> None:
    """Each class becomes its error; the code passes through, or heads a retry's message."""
    codes = Codes({"A": "refused", "B": "account", "C": "retry"})
    refused, account, retry = codes.error("A", "a"), codes.error("B", "b"), codes.error("C", "c", 7.0)
    assert isinstance(refused, Refused) and refused.known and refused.code == "A"
    assert isinstance(account, AccountProblem) and account.code == "B"
    assert isinstance(retry, Retry) and retry.sent and retry.retry_after_seconds == 7.0
    assert retry.message == "C: c"


@pytest.mark.parametrize("code", ["INVALID_MESSAGE", "CARRIER_SUSPENDED"])
def test_code_that_no_table_lists_is_permanent_and_unknown(code: str) -> None:
    """It ends the job, and whoever watches can tell that nobody knew it."""
    error = Codes({}).error(code, "m")
    assert isinstance(error, Refused) and not error.known and error.code == code


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("codes = ", "not TOML"),
        ("", r"must hold one table, \[codes\]"),
        ("codes = 1", r"must hold one table, \[codes\]"),
        ('[codes]\nA = "refused"\n[more]', r"must hold one table, \[codes\]"),
        ('[codes]\nA = "later"', 'A: must be one of "refused", "account", "retry"'),
        ("[codes]\nA = [1]", 'A: must be one of "refused", "account", "retry"'),
        ('[codes]\nlower = "refused"', "'lower' must be 1 to 64 characters"),
    ],
)
def test_wrong_table_is_one_line_that_names_file_and_fault(tmp_path: Path, text: str, problem: str) -> None:
    """An operator's slip is told in words."""
    path = tmp_path / "errors.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Codes.load(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("PROVIDER_ERRORS_FILE: ") and "\n" not in str(caught.value)


def test_missing_table_is_a_configuration_error(tmp_path: Path) -> None:
    """So is a file that is not there, or not text."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError, match="PROVIDER_ERRORS_FILE"):
            Codes.load(path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not TOML"):
        Codes.load(tmp_path / "bytes")
