"""What `make rollout` counts: jobs lost, rung twice or dialled above a limit, from what the outside saw."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from ops.rollout.arrivals import Arrivals
from ops.rollout.judging import Limit, Phase, Row, Seen, in_force_after, judge, quantile
from ops.rollout.phases import STEPS
from ops.rollout.releases import NoRelease, Version, commit_of, last_release
from ops.rollout.scene import exchange
from ops.rollout.table import markdown
from tests.faults.load import Sent
from tests.faults.servers import Served
from tests.integration.receiver import Hook
from tests.integration.stack import spawn

PHASE = Phase("a phase", 100.0, 200.0, [1.5, 2.5])


class Observed:
    """Builds what was seen of jobs that all went well, for a test to change."""

    def __init__(self) -> None:
        self.jobs: list[Sent] = []
        self.served: list[Served] = []
        self.arrivals = Arrivals()
        self.limits = [Limit(0.0, 2, 1)]

    def job(self, job_id: str, account: str = "steady", unix: float = 110.0) -> None:
        """A job that is sent, rung 0.1 s later and placed 0.2 s later."""
        self.jobs.append(Sent(job_id, account, f"phone of {job_id}", unix))
        self.ring(job_id, unix + 0.1)
        self.event(job_id, unix + 0.2)
        if account == "hooked":
            self.hook(job_id, unix + 0.3)

    def ring(self, job_id: str, unix: float, *, rung: bool = True) -> None:
        self.served.append(Served(unix, f"phone of {job_id}", rung, rung))

    def event(self, job_id: str, unix: float, kind: str = "call.placed") -> None:
        self.arrivals.queue(json.dumps({"type": kind, "data": {"id": job_id}}).encode(), unix)

    def hook(self, job_id: str, unix: float, kind: str = "call.placed") -> None:
        body = json.dumps({"type": kind, "data": {"id": job_id}}).encode()
        assert self.arrivals.hook(Hook("/events", {}, body, unix)) == 200

    def row(self, phase: Phase = PHASE) -> Row:
        came = self.arrivals
        seen = Seen(
            self.jobs, self.served, came.queued, came.hooked, "hooked", "limited", ["steady"], self.limits
        )
        return judge("redis", phase, seen)


@pytest.fixture
def observed() -> Observed:
    found = Observed()
    found.job("a", unix=110.0)
    found.job("b", "hooked", unix=111.0)
    return found


def test_phase_in_which_all_went_well_is_good(observed: Observed) -> None:
    """Each job has one call, one event, and where its account has one, one webhook."""
    row = observed.row()
    assert (row.bad, row.jobs, row.details, row.stops) == (False, 2, [], [1.5, 2.5])


def test_job_without_event_or_webhook_is_lost(observed: Observed) -> None:
    """An event at one place does not stand for the other."""
    del observed.arrivals.queued["a"], observed.arrivals.hooked["b"]
    row = observed.row()
    assert (row.lost, row.bad) == (2, True)
    assert row.details == [
        "lost: a, 0 events queued, 0 at the webhook",
        "lost: b, 1 events queued, 0 at the webhook",
    ]


def test_second_call_counts_and_a_refused_one_does_not(observed: Observed) -> None:
    """What rings is what the provider's log says has rung."""
    observed.ring("a", 112.0)
    observed.ring("b", 112.0, rung=False)
    row = observed.row()
    assert (row.rung_twice, row.details, row.bad) == (1, ["rung twice: a, 2 times"], True)


def test_repeated_event_is_allowed_and_another_one_is_not(observed: Observed) -> None:
    """At least once is promised, with the same bytes everywhere."""
    observed.event("a", 113.0)
    observed.hook("b", 113.0)
    row = observed.row()
    assert (row.repeated, row.conflicting, row.bad) == (2, 0, False)
    observed.hook("b", 114.0, "call.unknown")
    row = observed.row()
    assert (row.conflicting, row.not_placed, row.bad) == (1, 0, True)


def test_other_end_of_a_job_is_bad(observed: Observed) -> None:
    """No call is made to fail, so nothing may end as unknown or expired."""
    observed.job("c")
    observed.arrivals.queued["c"].clear()
    observed.event("c", 112.0, "call.expired")
    row = observed.row()
    assert (row.lost, row.not_placed, row.bad) == (0, 1, True)


def test_window_above_the_limit_counts_in_the_phase_in_which_it_ends(observed: Observed) -> None:
    """Two a second and a burst of one: the fourth request in a second is one too many."""
    for n in range(4):
        observed.job(f"limited-{n}", "limited", unix=120.0 + n / 10)
    assert (observed.row().over_limit, observed.row().bad) == (1, True)
    assert observed.row(Phase("another", 121.0, 200.0)).over_limit == 0


@pytest.mark.parametrize(("seconds", "over"), [(0.89, 1), (0.95, 0)])
def test_delay_on_the_way_to_the_provider_is_no_breach(observed: Observed, seconds: float, over: int) -> None:
    """A tenth of the window is for it: requests that left at the right distance may come closer together."""
    for n, after in enumerate((0.0, 0.3, 0.6, seconds)):
        observed.job(f"limited-{n}", "limited", unix=120.0 + after)
    assert observed.row().over_limit == over


def test_changed_limit_is_judged_from_when_it_counts(observed: Observed) -> None:
    """A lower limit allows no more than itself afterwards, and no window holds more than the highest of all."""
    for n in range(4):
        observed.job(f"before-{n}", "limited", unix=120.0 + n / 10)
        observed.job(f"after-{n}", "limited", unix=130.0 + n / 10)
    observed.limits = [Limit(0.0, 3, 1), Limit(125.0, 2, 1)]
    row = observed.row()
    assert row.over_limit == 1
    observed.limits = [Limit(0.0, 2, 1), Limit(120.2, 2, 1)]
    assert observed.row().over_limit == 2


def test_phase_with_trouble_or_without_jobs_is_bad(observed: Observed) -> None:
    """Stops must be clean ones, limits must count in time, and a phase in which nothing was sent shows nothing."""
    assert observed.row(Phase("killed", 100.0, 200.0, [40.0], ["a worker did not end well"])).bad
    assert observed.row(Phase("empty", 300.0, 400.0)).bad


def test_times_are_those_of_accounts_that_no_limit_holds_back(observed: Observed) -> None:
    """From the send to the first event, and the longest time without a call."""
    observed.job("late", unix=150.0)
    observed.arrivals.queued["late"].clear()
    observed.event("late", 153.0)
    observed.event("late", 154.0)
    observed.job("held", "limited", unix=160.0)
    observed.arrivals.queued["held"].clear()
    observed.event("held", 170.0)
    row = observed.row()
    assert (round(row.p50, 3), round(row.p99, 3), round(row.pause, 3)) == (0.2, 3.0, 40.0)


def test_quantile_is_a_value_that_was_seen() -> None:
    """Of one to a hundred, 99 % are 99 or less."""
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert quantile([], 0.5) == 0.0


def test_new_limit_is_in_force_when_the_requests_say_so() -> None:
    """A higher one from the first window that the old one forbade, a lower one after the last that it forbids."""
    fast = [10.0 + n / 10 for n in range(20)]
    slow = [20.0 + n for n in range(5)]
    assert in_force_after([*fast, *slow], 10.0, former=5, new=20) == pytest.approx(0.5)
    assert in_force_after(slow, 20.0, former=5, new=20) == math.inf
    assert in_force_after([*fast, *slow], 11.0, former=20, new=5) == pytest.approx(0.9)
    assert in_force_after(slow, 20.0, former=20, new=5) == 0.0


def test_last_release_is_the_newest_that_is_not_being_made() -> None:
    """While 0.3.0 is made, and when its heading is there already, the release before it counts."""
    log = "## [Unreleased]\n\n## [0.2.0] - 2027-01-01\n\n## [0.1.0] - 2026-11-27\n"
    assert last_release(log, "0.3.0") == "v0.2.0"
    assert last_release(f"## [0.3.0] - 2027-02-01\n\n{log}", "0.3.0") == "v0.2.0"
    with pytest.raises(NoRelease, match="OLD="):
        last_release("## [0.1.0] - 2026-11-27\n", "0.1.0")


def test_release_is_found_without_its_tag(tmp_path: Path) -> None:
    """A clone may have no tags; the commit that made the release says so in its subject."""

    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    for subject in ("Release 0.1.0", "Begin version 0.2.0", "Undo Release 0.1.0 in part"):
        git("commit", "--quiet", "--allow-empty", "--message", subject)
    released = git("rev-parse", "HEAD~2")
    assert commit_of("v0.1.0", tmp_path) == released
    with pytest.raises(NoRelease, match=r"v0\.2\.0"):
        commit_of("v0.2.0", tmp_path)
    git("tag", "v0.1.0", "HEAD")
    assert commit_of("v0.1.0", tmp_path) == git("rev-parse", "HEAD")


def test_table_tells_what_is_wrong(observed: Observed) -> None:
    """The page has a row for each phase, the sums, and each breach by itself."""
    good = observed.row()
    observed.ring("a", 112.0)
    text = markdown([good, observed.row()], "0.1.0", "0.2.0")
    assert "| redis | a phase | 2 | 0 | 0 |" in text and "| 2 | 2.0 | 2.5 |" in text
    assert "In all 4 jobs and 4 stops of workers: 1 of 2 phases broke a promise." in text
    assert "- redis, a phase: rung twice: a, 2 times" in text


def test_both_versions_run_where_both_are_wanted() -> None:
    """Two new workers are one too many where an old and a new one are wanted."""
    old, new = Version("old", spawn), Version("new", spawn)
    assert exchange([], [old, new]) == ([], [old, new])
    assert exchange([new, new], [old, new]) == ([1], [old])
    assert exchange([old, new], [new, new]) == ([0], [new])
    assert exchange([new, old], [old, new]) == ([], [])


def test_phases_have_names_of_their_own() -> None:
    """Each can be chosen alone."""
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names) >= 5
