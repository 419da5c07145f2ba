"""What README and pages show as code is right as far as that can be seen without running it."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ops.reference.commands import contexts
from tests.ops.blocks import ALL_PAGES, Block, blocks, command_lines
from tests.ops.examples import ROOT, schema_for, validator
from worker.cli import program
from worker.core.accounts import Accounts
from worker.provider.codes import Codes

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MARKS = re.compile(r"^<!-- (?:not )?run\b.*", re.MULTILINE)
FORMS = re.compile(r"not run: .+|run: exit status [1-9]|run: until it prints .+|")


def at(block: Block) -> str:
    return block.place


def parsed(arguments: list[str]) -> None:
    """Let click read a command line. Raises click.UsageError for what it would refuse."""
    group: click.Group = program
    above = click.Context(group, info_name="callworker", **group.context_settings)
    while arguments and isinstance(above.command, click.Group):
        found = [context for context in contexts(above) if context.info_name == arguments[0]]
        if not found:
            break
        above, arguments = found[0], arguments[1:]
    assert above.command is not program or arguments == [], arguments
    above.command.parse_args(above, arguments)


def test_each_mark_is_one_of_a_block() -> None:
    """A mark has a known form, a reason where it says "not run", and a block of code right below it."""
    assert [block.place for block in blocks("sh", "python", "js") if not FORMS.fullmatch(block.mark)] == []
    marks = sum(len(MARKS.findall(page.read_text(encoding="utf-8"))) for page in ALL_PAGES)
    assert marks == sum(bool(block.mark) for block in blocks("sh", "python", "js", "json", "toml"))


@pytest.mark.parametrize("block", blocks("sh"), ids=at)
def test_commands_that_are_shown_exist(block: Block) -> None:
    """Each command, option, value and make target in the pages exists."""
    for arguments in command_lines(block, "callworker"):
        parsed(arguments)
    for words in command_lines(block, "make"):
        targets = [word for word in words if "=" not in word]
        assert all(f"\n{target}:" in MAKEFILE for target in targets), targets


@pytest.mark.parametrize("block", blocks("python"), ids=at)
def test_python_that_is_shown_is_python(block: Block) -> None:
    """Every block compiles, whether it can be run or not."""
    ast.parse(block.code)


@pytest.mark.parametrize("block", blocks("json"), ids=at)
def test_json_that_is_shown_is_a_job_or_an_event(block: Block) -> None:
    """Each block is one document that fits its schema."""
    document = json.loads(block.code)
    validator(schema_for(document)).validate(document)


@pytest.mark.parametrize("block", blocks("toml"), ids=at)
def test_toml_that_is_shown_can_be_loaded(block: Block, tmp_path: Path) -> None:
    """Each TOML block loads as an error table or as accounts; a webhook shown alone gets an account."""
    document = tomllib.loads(block.code)
    if "codes" in document:
        (tmp_path / "codes.toml").write_text(block.code, encoding="utf-8")
        Codes.load(tmp_path / "codes.toml")
    else:
        Accounts.parse({"accounts": dict(_whole(document["accounts"]))})


def _whole(accounts: dict[str, dict[str, object]]) -> Iterator[tuple[str, dict[str, object]]]:
    for name, table in accounts.items():
        rest = {} if "rate" in table else {"rate": "1/s", "api_key_env": "KEY"}
        yield name, rest | table
