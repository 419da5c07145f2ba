"""CONTRIBUTING.md leads to what is there, and the checks before a commit are those of `make check`."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.ops.examples import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGES = {
    "A new metric": "worker/telemetry/metrics.py",
    "A new setting": "worker/settings.py",
    "A new error code of the provider": "config/provider_errors.toml",
    "A new command": "worker/cli/__init__.py",
    "A new check of `callworker doctor`": "worker/cli/doctor/__init__.py",
    "A new field of a job": "worker/core/jobs.py",
    "A new fact in a job's record": "worker/state/scripts/README.md",
    "A new reason why a job waits": "worker/core/records.py",
    "A new queue of jobs": "worker/broker/queues.py",
    "A new header of webhooks": "worker/delivery/webhooks.py",
    "A new label that logs hide": "worker/privacy/labelled.py",
    "A new decision": "docs/decisions/template.md",
    "A new page of the documentation": "zensical.toml",
    "A new dependency": "pyproject.toml",
}
FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:lua|lock|md|py|toml|yml))`")
FOLDER = re.compile(r"`((?:[\w-]+/)+)`")
BUILT = "build/"


@pytest.mark.parametrize("heading", CHANGES)
def test_way_of_a_change_is_a_short_list_that_begins_at_its_file(heading: str) -> None:
    """Numbered, five steps at most, each file by its whole path."""
    section = TEXT.split(f"### {heading}\n")[1].split("\n#")[0]
    steps = re.findall(r"^\d\. ", section, re.MULTILINE)
    assert steps == [f"{number}. " for number in range(1, len(steps) + 1)] and 3 <= len(steps) <= 5
    assert CHANGES[heading] in section


def test_files_and_folders_that_are_named_exist() -> None:
    """A file that is moved or renamed is followed here."""
    named = [name for name in FILE.findall(TEXT) if name not in ("__init__.py",)]
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).is_file()] == []
    folders = [name for name in FOLDER.findall(TEXT) if not name.startswith(BUILT)]
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


def test_names_in_the_code_are_still_there() -> None:
    """Each name that a step says to extend is found in the code."""
    for file, name in (
        ("worker/telemetry/shared_metrics.py", "SHARED:"),
        ("worker/telemetry/metrics.py", "def initialise("),
        ("worker/telemetry/labels.py", "PROVIDER_CODES ="),
        ("worker/telemetry/labels.py", "HOLD_REASONS ="),
        ("worker/core/ports.py", "class Watch("),
        ("worker/cli/__init__.py", "COMMANDS ="),
        ("worker/cli/output.py", "def example("),
        ("worker/cli/doctor/__init__.py", "ON_THIS_MACHINE:"),
        ("worker/cli/doctor/__init__.py", "OUTSIDE:"),
        ("worker/cli/enqueue.py", "FIELDS ="),
        ("worker/cli/job.py", "def describe_wait("),
        ("worker/core/jobs.py", "_PACKED ="),
        ("worker/core/jobs.py", "def _values("),
        ("worker/core/records.py", "class Reason("),
        ("worker/provider/client.py", "def _form("),
        ("worker/privacy/harmless.py", "_KEPT:"),
        ("worker/privacy/labelled.py", "_CREDENTIAL ="),
        ("worker/privacy/labelled.py", "_STEMS ="),
        ("worker/delivery/webhooks.py", "def _headers("),
        ("worker/broker/queues.py", "TASK_QUEUES ="),
        ("worker/celery_edge/consumer.py", "PREFETCH ="),
        ("worker/state/scripts/common.lua", "function fields_for_lease("),
        ("worker/state/scripts/common.lua", "function lease_reply("),
        ("worker/state/leases.py", "class LeaseReply("),
        ("worker/state/views.py", "def _wait("),
        ("worker/state/census.py", "def _count("),
        ("ops/schemas.py", "FIELDS ="),
    ):
        assert name in (ROOT / file).read_text(encoding="utf-8"), name


def test_checks_before_a_commit_are_those_of_make_check() -> None:
    """The same commands in the same order."""
    (group,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    recipe = re.search(
        r"^check: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert recipe is not None
    commands = [
        line.strip().removeprefix("$(Q)").replace("$(BIN)", ".venv/bin").replace("$(QUIET)", "--quiet")
        for line in recipe[1].splitlines()
    ]
    assert [hook["entry"] for hook in group["hooks"]] == commands
