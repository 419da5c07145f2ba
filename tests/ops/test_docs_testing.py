"""What the page on testing shows is tested: the file of tests, and the compose file."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import yaml

from tests.ops.examples import FENCE, ROOT
from worker.cli import program
from worker.core.accounts import Accounts
from worker.settings import Settings

EXAMPLES = ROOT / "examples/testing"
PAGE = (ROOT / "docs/how-to/test-your-service.md").read_text(encoding="utf-8")


def test_shown_tests_pass(tmp_path: Path) -> None:
    """The page shows the example whole, and it passes as a file of somebody else's project."""
    text = (EXAMPLES / "test_sign_up.py").read_text(encoding="utf-8")
    assert text in [code for _, code in FENCE.findall(PAGE)]
    (tmp_path / "test_sign_up.py").write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "4 passed" in ended.stdout, ended.stdout + ended.stderr


def test_compose_file_starts_what_it_names(tmp_path: Path) -> None:
    """Its worker has valid settings and accounts, its sandbox a valid command, and its Redis the version of ours."""
    given: Any = yaml.safe_load((EXAMPLES / "compose.yaml").read_text(encoding="utf-8"))
    ours: Any = yaml.safe_load((ROOT / "ops/compose.yaml").read_text(encoding="utf-8"))
    worker, sandbox, redis = (given["services"][name] for name in ("worker", "sandbox", "redis"))
    assert redis["image"] == ours["services"]["redis"]["image"]
    name, *arguments = sandbox["command"]
    # A command keeps the names of its option for help from the context in which it is first used.
    above = click.Context(program, **program.context_settings)
    command = program.get_command(above, name)
    assert command
    command.make_context(name, arguments, parent=above)
    accounts = given["configs"]["accounts"]["content"]
    (key,) = {table["api_key_env"] for table in tomllib.loads(accounts)["accounts"].values()}
    assert key in worker["environment"]
    file = tmp_path / "accounts.toml"
    file.write_text(accounts, encoding="utf-8")
    assert list(Accounts.load(file)) == ["shop"]
    assert worker["environment"].keys() - {key} <= set(Settings.variables())
