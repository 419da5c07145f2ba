"""The cost of hostile text: each text is given to every reader of foreign text, under limits on CPU time and memory.

A process of its own does it, whose limits end it where the cost grows faster than the text.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.hostile import repeated, texts
from worker.core.accounts import Accounts
from worker.core.jobs import Job
from worker.core.judging import Broken, Submission, decode, judge
from worker.core.records import Source
from worker.http.retry_after import retry_after_seconds
from worker.privacy.addresses import mask_addresses, mask_url
from worker.privacy.harmless import harmless
from worker.privacy.labelled import hide_labelled
from worker.privacy.redaction import Redactor
from worker.privacy.scrubbing import _CUTS, _DIGITS, _SPOKEN, MAX_TEXT, starred
from worker.provider import answer
from worker.provider.publishing import Cleaner

LENGTH = 64 * 1024
WORST = 12
"""Of so many texts that are the dearest when they are short, the long ones are tried."""

MAX_CPU_SECONDS = 0.25
"""Five times what a text may take, for machines that do other things as well."""

MAX_PEAK_BYTES = 2 * 1024 * 1024
MAX_ANSWER_PEAK_BYTES = 8 * 1024 * 1024
"""An answer is read by a parser that makes an object of each element; no more than 64 KiB of it are."""

MAX_CHILD_SECONDS = 240
MAX_CHILD_BYTES = 64 * 1024 * 1024
"""What the child may take beyond what it has once everything is imported."""

ROOT = Path(__file__).parents[2]

JOB = Job(id="job-1", account="acme", country="1", phone="2125550142", code="4321")


def _admitted(text: str) -> None:
    fields = decode(json.dumps({"id": "job-1", "account": "acme", "ref": text[:5000]}))
    if isinstance(fields, Broken):
        # What has too many lists and names is refused before anything else reads it.
        fields = {}
    judge(Submission(fields | {"account": text, "code": text}, Source.STREAM), Accounts({}))


def _patterns(text: str) -> None:
    """Each pattern by itself, without the cut that spares it long texts."""
    mask_addresses(text)
    for _, pattern, replacement in _CUTS:
        pattern.sub(replacement, text)
    _SPOKEN.sub("", text)
    _DIGITS.sub("", text)
    hide_labelled(text)


def _answered(frame: str, text: str) -> None:
    with suppress(Exception):  # of many kinds: which is told by the reader's own tests
        answer.read((frame % text[: LENGTH - 100]).encode("utf-8", "replace"))


READERS: dict[str, Callable[[str], object]] = {
    "a log line": lambda text: Redactor().field("event", text),
    "a log line's list": lambda text: Redactor().field("x", [text, {text: [text]}]),
    "patterns": _patterns,
    "a name in a log line": lambda text: Redactor().field(text, "x"),
    "an address": mask_url,
    "stars": starred,
    "a dead letter": lambda text: harmless(text.encode("utf-8", "replace")),
    "a dead letter's fields": lambda text: harmless(
        {"id": text, "ref": text, text: text, "expires_at": text}
    ),
    "a job": _admitted,
    "the provider's words": lambda text: Cleaner.of(JOB, "k" * 32).publishable(text),
    "an answer's message": partial(_answered, '{"failed": {"error_code": "X", "error_msg": "%s"}}'),
    "an answer's ref": partial(_answered, '{"response": {"ref": %s}}'),
    "an answer in XML": partial(_answered, "<response><ref>%s</ref></response>"),
    "Retry-After": lambda text: retry_after_seconds(text, datetime.now(UTC), 60),
}


def cost(read: Callable[[str], object], text: str) -> float:
    """CPU seconds. What takes long is measured once more: chance only adds to it."""
    seconds = _cpu_seconds(read, text)
    return seconds if seconds < MAX_CPU_SECONDS else min(seconds, _cpu_seconds(read, text))


def _cpu_seconds(read: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    read(text)
    return time.process_time() - began


def peak(read: Callable[[str], object], text: str) -> int:
    """Bytes at most in use at once beside the text."""
    tracemalloc.start()
    read(text)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def told(name: str, read: Callable[[str], object]) -> dict[str, Any]:
    """The cost of a reader's most expensive texts, and of one of twice the length."""
    short = {seed: cost(read, text) for seed, text in texts(LENGTH // 16).items()}
    dearest = sorted(short, key=lambda seed: -short[seed])[:WORST]
    costs = {seed: cost(read, repeated(seed, LENGTH)) for seed in dearest}
    worst = max(costs, key=lambda seed: costs[seed])
    return {
        "reader": name,
        "seed": worst,
        "seconds": costs[worst],
        "seconds_twice": cost(read, repeated(worst, 2 * LENGTH)),
        "bytes": max(
            peak(read, repeated(seed, LENGTH)) for seed in (worst, "code=", "key =", "0x", "\U0001f600")
        ),
    }


def limited_child() -> None:
    """Read every text; the limits end this process where that takes more than it may."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CHILD_SECONDS, MAX_CHILD_SECONDS))
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MAX_CHILD_BYTES, now + MAX_CHILD_BYTES))
    for text in texts(LENGTH).values():
        Redactor().text(text)
    print(json.dumps([told(name, read) for name, read in READERS.items()]))


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, Any]]:
    """Return by reader what the child found."""
    command = [sys.executable, "-m", "tests.unit.test_redaction_limits"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return {reader["reader"]: reader for reader in json.loads(child.stdout)}


@pytest.mark.parametrize("reader", READERS)
def test_hostile_text_costs_little_whatever_reads_it(report: dict[str, dict[str, Any]], reader: str) -> None:
    """64 KiB of the worst text, and twice that, take milliseconds and less than 2 MiB in every reader of text (E1)."""
    found = report[reader]
    assert found["seconds"] < MAX_CPU_SECONDS and found["seconds_twice"] < 2 * MAX_CPU_SECONDS, found
    assert found["bytes"] < (MAX_ANSWER_PEAK_BYTES if "answer" in reader else MAX_PEAK_BYTES), found


@pytest.mark.parametrize("levels", [2, 9, 400])
def test_a_structure_that_holds_itself_many_times_over_is_cut(levels: int) -> None:
    """A line has room for some thousand values, however many paths lead through what is logged (E1)."""
    value: object = "code=4321"
    for _ in range(levels):
        value = [value] * 200
    shown = json.dumps(Redactor().field("x", value))
    assert len(shown) < 200_000 and "4321" not in shown
    assert levels == 1 or "[cut]" in shown or "[too deep]" in shown


def test_a_text_that_is_cut_says_so_and_shows_no_half_of_a_secret() -> None:
    """Wherever the cut falls, a key, PIN or number around it is not shown in part (E1)."""
    redactor = Redactor()
    redactor.register("tulip-tulip-tulip-tulip")
    for shift in range(0, 64, 3):
        for secret in ("tulip-tulip-tulip-tulip", "code=43210", "2125550142"):
            text = "x " * ((MAX_TEXT - shift) // 2) + secret + " y" * 50_000
            shown = redactor.text(text)
            assert shown.endswith("[cut: 116 thousand characters in all]")
            assert not re.search("tulip|4321|212", shown)
            assert redactor.text(shown) == shown


if __name__ == "__main__":
    limited_child()
