"""The fast reader of plain TOML reads what the standard library reads, or leaves it to that."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration import plain_toml

PLAIN = """# Accounts
[accounts.acme]  # the first
api_key_env = "ACME_KEY"
rate = '5/s'
burst = 10
countries = ["1", '49', "a # b",]
empty = []

[[accounts.acme.webhooks]]
url = "https://acme.example/hook?a=1#b"
on = true
[[accounts.acme.webhooks]]
url = "https://acme.example/\u00e4"

[accounts."b.c"]
off = false
[[accounts."b.c".webhooks]]
url = "x"
"""
ODD = [
    "a = 1\na = 2", "[a.b]\n[a.b]", "[a]\n[a.b]", "a = 1\n[a.b]", "[a.b]\nx = 1\n[[a.b.x]]", "[[a.b.x]]",
    "[a.b]\n[[a.c.x]]", "[a.b]\n[[a.b.x]]\n[a.c]\n[[a.b.x]]", "a = \"\"\"x\"\"\"", "a = \"\"", "a = ''",
    "a = \"\\n\"", "a = 1_0", "a = +1", "a = 01", "a = 1.5", "a = 1979-05-27", "a.b = 1", "a = {b = 1}",
    "a = [\"x\"\n]", "a = [1]", "a = [,]", "a = \"x\" b", "[a.b", "a", "= 1", "a = \"x", "a = 1\r",
    "a = 1\r\nb = 2", "# \x01", "a = \"\x7f\"", "a = \"\t\"", "[a.\"\"]", "\u2028", "a = 1 # \u2028 b",
    "[ a.b ]", "[a . b]", "\f", "a = [\"x\" \"y\"]", "[a.b]\nx = 1\n[[a.b.y]]\nx = 2\nx = 3",
    "a = 99999999999999999999", "[a.b]\n[[a.b.c]]\n[a.b.c.d]", "[a.b]\n[[a.b.c]]\n[a.b]",
]  # fmt: skip


def standard(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


def test_an_accounts_file_is_plain() -> None:
    """Whatever its accounts and webhooks have, so long as nothing has to be unescaped."""
    assert plain_toml.read(PLAIN) == standard(PLAIN) is not None
    windows = PLAIN.replace("\n", "\r\n")
    assert plain_toml.read(windows) == standard(windows)


@pytest.mark.parametrize("text", ODD)
def test_what_is_not_plain_is_left(text: str) -> None:
    """It is read as the standard library reads it, or not at all."""
    assert plain_toml.read(text) in (None, standard(text))


LINES = st.sampled_from([*PLAIN.splitlines(), *(line for text in ODD for line in text.split("\n"))])
SIGNS = st.text(st.sampled_from("ab.=[]\"'#\\{}, \t1é\r\x00"), max_size=12)


@given(st.lists(st.one_of(LINES, SIGNS), max_size=8))
def test_any_lines_are_read_as_the_standard_library_reads_them(lines: list[str]) -> None:
    """Or left to it: faults too, which it names."""
    text = "\n".join(lines)
    assert plain_toml.read(text) in (None, standard(text))
