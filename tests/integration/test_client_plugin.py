"""The fixtures that pytest finds where the client is installed."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse
import urllib.request
from importlib.metadata import entry_points
from pathlib import Path

from callworker.testing import FakeClient
from callworker.testing.sandbox import Sandbox

KEY = "0123456789abcdef" * 2


def test_fake_is_a_fixture(callworker_fake: FakeClient) -> None:
    """A test gets a client that nobody has used."""
    callworker_fake.enqueue({"id": "a", "account": "acme", "country": 1, "phone": 2125550123, "code": 4711})
    assert callworker_fake.place("a").status == "placed"


def test_sandbox_is_a_fixture(callworker_sandbox: Sandbox) -> None:
    """The sandbox answers as the provider, and tells what it was asked."""
    form = urllib.parse.urlencode(
        {"key": KEY, "country": "1", "phone": "2125550123", "code": "4711"}
    ).encode()
    with urllib.request.urlopen(f"{callworker_sandbox.url}/telephonecall.json", form) as answer:
        assert b'"ref"' in answer.read()
    (asked,) = callworker_sandbox.requests("2125550123")
    assert (asked["answer"], asked["rung"], callworker_sandbox.requests("1")) == ("ref", True, [])


def test_sandbox_begins_empty(callworker_sandbox: Sandbox) -> None:
    """One test does not see the requests of another one."""
    assert callworker_sandbox.requests() == []


def test_missing_sandbox_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """Without the workers' package, a test that needs the sandbox fails and says what to install."""
    (tmp_path / "test_it.py").write_text("def test_it(callworker_sandbox): pass\n")
    (plugin,) = entry_points(group="pytest11", name="callworker")
    code = (
        "import shutil, sys, pytest; shutil.which = lambda *_, **__: None; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_it.py']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (plugin.value, ended.returncode) == ("callworker.testing.plugin", 1)
    assert (
        "callworker_sandbox: the sandbox is a command of the workers' package: pip install callworker"
        in ended.stdout
    )
