"""The contract page says what the program has today, and pages that are cited exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from ops.reference.metrics import own_metrics
from worker.cli import COMMANDS
from worker.core.jobs import EXTENDED_LANGUAGES, LANGUAGES, Job
from worker.core.records import REASONS, Source
from worker.delivery.ports import AttemptResult
from worker.http.oddities import Oddity
from worker.provider.observers import CallResult
from worker.sandbox.behaviours import TABLE
from worker.settings import Settings
from worker.state.dead_letters import DeadLetter
from worker.telemetry.labels import DISABLED_REASONS, ENDS, GIVEN_UP_REASONS, RetryReason

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
PAGES = re.compile(r"\b(?:docs|ops)/[\w/-]+\.(?:md|json|yaml)\b")
LABELS: dict[str, Iterable[str]] = {
    "`source`": Source,
    "`status`": ENDS,
    "`result` of `provider_requests_total`": CallResult,
    "`result` of `webhook_attempts_total` and `webhook_endpoint_attempts_total`": AttemptResult,
    "`oddity`": Oddity,
    "`reason` of `retries_total`": RetryReason,
    "`reason` of `jobs_waiting`": REASONS,
    "`reason` of `webhook_endpoint_disabled`": DISABLED_REASONS,
    "`reason` of `webhook_given_up_total`": GIVEN_UP_REASONS,
}


def rows(section: str) -> list[list[str]]:
    """The cells of all table rows in a section of the page, without each table's head."""
    text = re.split(rf"^## {section}$", CONTRACT, maxsplit=1, flags=re.MULTILINE)[1]
    lines = text.split("\n## ", 1)[0].splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables]


def named(section: str) -> dict[str, list[str]]:
    """The further cells by the name in backticks that begins a row."""
    return {row[0].strip("`"): row[1:] for row in rows(section) if row[0].startswith("`")}


def sources() -> list[Path]:
    """All text that is kept with the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    found = paths or [
        path for part in ("worker", "tests", "docs", "ops") for path in (ROOT / part).rglob("*")
    ]
    kinds = {".py", ".lua", ".md", ".toml", ".yaml", ".yml"}
    return [path for path in found if path.suffix in kinds and path.is_file()]


def test_contract_has_each_setting_with_its_default() -> None:
    """No variable is missing or left over, and a default that is a plain value is the one in the program."""
    told = {name: cells[0].strip("`") for name, cells in named("Settings").items()}
    assert told.keys() == {field.alias for field in Settings.model_fields.values()}
    for field in Settings.model_fields.values():
        if isinstance(field.default, str | int | float) and field.alias:
            plain = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert told[field.alias] == plain


def test_contract_has_each_metric_with_type_and_labels() -> None:
    """The contract follows every metric or label that is added, renamed or removed."""
    told = {
        name: (cells[0].removesuffix(", shared"), set(filter(None, cells[1].split(", "))))
        for name, cells in named("Metrics").items()
        if cells[0].startswith(("counter", "gauge", "histogram"))
    }
    assert told == {metric.name: (metric.kind, set(metric.labels)) for metric in own_metrics()}


@pytest.mark.parametrize("label", LABELS)
def test_contract_has_each_value_of_a_label(label: str) -> None:
    """The contract lists closed sets of values completely."""
    told = {row[0]: row[1] for row in rows("Metrics")}
    assert re.findall(r"`(\w+)`", told[label]) == list(LABELS[label])


def test_contract_has_each_command() -> None:
    """The commands come in the order of the help text."""
    told = [name.removeprefix("callworker ").split()[0] for name in named("Commands")]
    assert told == list(COMMANDS)


def test_contract_has_each_ending_of_the_sandbox() -> None:
    """The table of the page is the table of the sandbox."""
    endings = [row[0] for row in rows("Sandbox provider") if row[0].isdigit()]
    assert endings == list(TABLE)


def test_contract_has_each_field_of_a_job() -> None:
    """The contract has each field; `exttype` and the older page's languages are explained beside the table."""
    fields = Job.model_fields.keys() - {"exttype"}
    assert named("A job").keys() == fields
    assert all(word in CONTRACT for word in ("`exttype`", *LANGUAGES, *EXTENDED_LANGUAGES))


def test_contract_has_each_field_of_a_dead_letter() -> None:
    """The fields are those that `callworker dead show --json` prints."""
    assert list(named("A dead letter")) == list(DeadLetter.__dataclass_fields__)


def test_pages_that_are_cited_exist() -> None:
    """Every page that code, tests or other pages cite exists."""
    missing = {
        f"{path.relative_to(ROOT)}: {page}"
        for path in sources()
        for page in PAGES.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / page).is_file() and not (path.parent / page).is_file()
    }
    assert missing == set()
