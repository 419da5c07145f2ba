"""What commands print: never a sign that moves the cursor, in any terminal, and JSON in ASCII."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from worker import cli
from worker.cli.output import print_document, print_json, say, spell_out_what_has_no_sign

HOSTILE = "a\x1b[2J\x1b]0;t\x07\x9b31m\u202eb\u2066c\u200b\r\n\x7f\ud800"
"""CSI and OSC, a C1 sign, overrides of the direction of writing, an invisible sign, line breaks, half a pair."""


@click.command()
@click.argument("text")
def saying(text: str) -> None:
    spell_out_what_has_no_sign()
    say(text)


@click.command()
@click.argument("text")
def documenting(text: str) -> None:
    print_document(text)


@given(text=st.text())
def test_line_holds_only_what_can_be_seen(text: str) -> None:
    """Whatever is said comes out as one line of signs that can be seen (E10)."""
    result = CliRunner().invoke(saying, ["--", text])
    assert result.exit_code == 0
    assert result.stdout.removesuffix("\n").isprintable()


@pytest.mark.parametrize("charset", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_terminal_of_any_encoding_gets_escapes_for_what_it_lacks(charset: str) -> None:
    """A sign that the terminal's encoding does not have is spelled out and is no fault of the program (C5)."""
    result = CliRunner(charset=charset).invoke(saying, ["é 📞 Ł"])
    assert result.exit_code == 0, result.exception
    assert "📞" in result.stdout if charset == "utf-8" else "\\U0001f4de" in result.stdout


def test_hostile_text_is_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and overrides of direction are spelled out, for people and in JSON (E10)."""
    say(HOSTILE)
    print_json({"note": HOSTILE})
    print_document(json.dumps({"note": HOSTILE.removesuffix("\ud800")}, ensure_ascii=False))
    print_document(f"no JSON {HOSTILE}")
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 5
    assert "".join(lines).isprintable()
    assert "".join(lines).isascii()


@given(document=st.recursive(st.none() | st.integers() | st.text(), st.lists), indent=st.none() | st.just(1))
def test_document_stays_what_it_is(document: object, indent: int | None) -> None:
    """A document printed in ASCII, on one line, reads as the one that was published (E10)."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    shown = CliRunner().invoke(documenting, ["--", text.replace("\0", "\\u0000")]).stdout
    assert json.loads(shown) == json.loads(text)
    assert (shown.isascii(), len(shown.splitlines())) == (True, 1)


def test_nothing_is_printed_but_through_the_one_place() -> None:
    """No command prints by itself: what makes text harmless cannot be forgotten in one of them (E10)."""
    for path in Path(cli.__file__).parent.rglob("*.py"):
        if path.name == "output.py":
            continue
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        assert {ast.unparse(call) for call in calls}.isdisjoint({"click.echo", "print", "click.secho"}), path
