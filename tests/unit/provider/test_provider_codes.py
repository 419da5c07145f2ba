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


@pytest.mark.parametrize(
    "code",
    [
        "no_points", "No_Points", "NO POINTS", "NO-POINTS", "NO_POINTS.", '"NO_POINTS"', "&nbsp;NO_POINTS&nbsp;",
        "\u00a0NO_POINTS", "NO_\u200bPOINTS", "NO&#95;POINTS", "NO&lowbar;POINTS", "\uff2e\uff2f_POINTS", "[no points]",
    ],
)  # fmt: skip
def test_code_of_the_table_is_known_in_any_spelling(code: str) -> None:
    """An account without points is held, and its jobs wait, however the provider spells that it has none (A3)."""
    assert Codes({"NO_POINTS": "account"}).listed(code) == "NO_POINTS"


@pytest.mark.parametrize("code", ["A__B", "NOPOINTS", "NO POINTS LEFT", "", "\u00e9", "A_B" + "_" * 300])
def test_code_that_spells_none_of_the_table_stays_as_it_came(code: str) -> None:
    """Nothing is guessed, and a code that the table lists stands for itself."""
    assert Codes({"NO_POINTS": "account", "A_B": "retry", "A__B": "refused"}).listed(code) == code


@pytest.mark.parametrize("code", ["INVALID_MESSAGE", "CARRIER_SUSPENDED"])
def test_code_that_no_table_lists_is_permanent_and_unknown(code: str) -> None:
    """An unlisted code ends the job, and the error says that the code is unknown."""
    error = Codes({}).error(code, "m")
    assert isinstance(error, Refused) and not error.known and error.code == code


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("codes = ", "not TOML"),
        ("", "is empty"),
        ("x = 1", r"must hold one table, \[codes\]"),
        ("codes = 1", r"must hold one table, \[codes\]"),
        ('[codes]\nA = "refused"\n[more]', r"must hold one table, \[codes\]"),
        ('[codes]\nA = "later"', 'A: must be one of "refused", "account", "retry"'),
        ("[codes]\nA = [1]", 'A: must be one of "refused", "account", "retry"'),
        ('[codes]\nlower = "refused"', "'lower' must be 1 to 64 characters"),
    ],
)
def test_wrong_table_is_one_line_that_names_file_and_fault(tmp_path: Path, text: str, problem: str) -> None:
    """An operator's slip is explained in one line with file and fault."""
    path = tmp_path / "errors.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Codes.load(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).startswith("PROVIDER_ERRORS_FILE: ") and "\n" not in str(caught.value)


def test_every_wrong_class_is_told_at_once(tmp_path: Path) -> None:
    """Each wrong line of the table has a line of its own (D8)."""
    path = tmp_path / "errors.toml"
    path.write_text('[codes]\nA = "later"\nb = "refused"\n')
    with pytest.raises(ConfigurationError) as caught:
        Codes.load(path)
    assert len(caught.value.problems) == 2


def test_table_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """A byte-order mark, as editors write it, is no part of the table (C1)."""
    path = tmp_path / "errors.toml"
    path.write_bytes(b'\xef\xbb\xbf[codes]\nA = "refused"\n')
    assert Codes.load(path).classes == {"A": "refused"}


def test_missing_table_is_a_configuration_error(tmp_path: Path) -> None:
    """A table that is not there, is a folder or is not text is each told as what it is (C1)."""
    (tmp_path / "bytes").write_bytes("[codes]".encode("utf-16"))
    causes = {"none.toml": "does not exist", ".": "is a folder", "bytes": "is UTF-16 text"}
    for name, cause in causes.items():
        with pytest.raises(ConfigurationError, match=f"PROVIDER_ERRORS_FILE: .*{cause}"):
            Codes.load(tmp_path / name)
