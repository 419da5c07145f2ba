"""What every ledger promises about ids used twice, accounts that do not exist, and accounts files that differ."""

from __future__ import annotations

import pytest

from tests.contract.ledger_bench import BROKEN, Bench
from tests.doubles import decisions
from tests.doubles.samples import account, accounts, application, job, placed, rejection
from worker.core.records import Application, Foreign, Lease, Parked, Reason, Seen, Source, Standing
from worker.core.retry import Tally

OTHER = {
    "country": "44", "phone": "2125550199", "code": "9876", "ext": "12", "message": "French", "ref": "a note",
}  # fmt: skip
"""Another value for each field of a job."""


class ConflictContract:
    """Another job under an id that was used before."""

    @pytest.mark.parametrize("field", ["country", "phone", "code", "ext", "message", "ref"])
    def test_another_job_under_the_id_of_one_that_lives_is_a_conflict(self, bench: Bench, field: str) -> None:
        """The second job is dropped, the fields that differ are named, and the first one stays (D5)."""
        lease = bench.go("a", account())
        assert bench.come("a", **{field: OTHER[field]}) == Seen("dialling", (field,))
        decisions.park(bench.ledger, lease, Tally(), Reason.BACKOFF, 0.0)
        assert bench.come("a", **{field: OTHER[field]}) == Seen("waiting", (field,))
        bench.clock.advance(1)
        (again,) = bench.release()
        assert again.job == lease.job

    @pytest.mark.parametrize("field", ["country", "phone", "code", "ext", "message", "ref"])
    def test_another_job_under_the_id_of_one_that_ended_is_a_conflict(self, bench: Bench, field: str) -> None:
        """A job that has ended leaves a digest, which shows that another job differs, but not in which field (D5)."""
        lease = bench.go("a", account())
        decisions.settle(bench.ledger, lease, account(), Tally(sent=1), placed(lease))
        assert bench.come("a", **{field: OTHER[field]}) == Seen("placed", ("fields",))
        assert bench.come("a") == Seen("placed")

    @pytest.mark.parametrize("ended", [False, True])
    def test_the_same_job_in_another_spelling_is_a_repeat(self, bench: Bench, ended: bool) -> None:
        """Integers for digits, a default that is given, and another expiry make no other job (D5)."""
        lease = bench.go("a", account())
        if ended:
            decisions.settle(bench.ledger, lease, account(), Tally(sent=1), placed(lease))
        respelled = {
            "phone": 2125555555, "code": 4321, "message": "English", "ext": None,
            "expires_at": "2027-01-15T08:30:00Z",
        }  # fmt: skip
        assert bench.come("a", **respelled) == Seen("placed" if ended else "dialling")

    def test_a_long_job_is_told_from_another(self, bench: Bench) -> None:
        """Two jobs are also compared if the job is stored beside its record (D5)."""
        bench.come("a", ref="é" * 255)
        assert bench.come("a", ref="é" * 254) == Seen("dialling", ("ref",))
        assert bench.come("a", ref="é" * 255) == Seen("dialling")

    @pytest.mark.parametrize("may_dial", [True, False])
    def test_a_conflict_within_a_batch_is_told(self, bench: Bench, may_dial: bool) -> None:
        """The first one in the batch is the job (D5)."""
        owner = account()
        first, second, third = (
            Application(job("a", phone=phone), owner, Source.CELERY, may_dial)
            for phone in ("2125555555", "2125550199", "2125555555")
        )
        admissions = bench.ledger.admit([first, second, third])
        state = "dialling" if may_dial else "waiting"
        assert admissions[1:] == [Seen(state, ("phone",)), Seen(state)]

    def test_an_account_that_comes_second_within_a_batch_is_told(self, bench: Bench) -> None:
        """Two accounts that use one id in one batch: the second has the conflict (D5)."""
        batch = [application("a", account("acme")), application("a", account("globex"))]
        assert bench.ledger.admit(batch)[1] == Foreign()

    def test_another_job_under_the_id_of_a_rejected_one_is_a_conflict(self, bench: Bench) -> None:
        """A job that was put right needs a new id, and its producer is told; the same broken one is a repeat (D5)."""
        assert bench.reject("a", account()) is None
        assert bench.come("a") == Seen("rejected", ("fields",))
        assert bench.reject("a", account()) == Seen("rejected")


class FilesContract:
    """Workers with different accounts files."""

    def test_the_file_that_was_seen_last_is_the_newest(self, bench: Bench) -> None:
        """Each worker learns whether its file is the newest, and how many files there are (B7)."""
        assert bench.ledger.announce("old", {}) == Standing(newest=True, returned=True, files=1)
        assert bench.other.announce("new", {}) == Standing(newest=True, returned=True, files=2)
        assert bench.ledger.announce("old", {}) == Standing(newest=False, returned=False, files=2)
        assert bench.other.announce("new", {}) == Standing(newest=True, returned=False, files=2)

    @pytest.mark.parametrize("declared", [True, False])
    def test_an_old_worker_that_admits_last_leaves_the_limit_alone(
        self, bench: Bench, declared: bool
    ) -> None:
        """An old worker that renews a lease changes no limit: the new file's stays, declared or from a job (B7)."""
        old, new = account(rate="100/s", burst=50), account(rate="1/h")
        bench.ledger.announce("old", accounts(old))
        bench.ledger.declare([old])
        bench.other.announce("new", accounts(new))
        if declared:
            bench.other.declare([new])
        else:
            bench.other.admit([application("new", new, may_dial=False)])
        lease = bench.admit("a", old)
        assert isinstance(lease, Lease) is declared
        for n in range(5):
            assert bench.wait(f"b{n}", old).reason is Reason.RATE_LIMIT
        if isinstance(lease, Lease):
            assert isinstance(bench.ledger.renew(lease, old, Tally()), Parked)
        assert len(bench.released()) <= 1 - declared

    def test_an_old_worker_that_starts_again_is_not_the_newest(self, bench: Bench) -> None:
        """Its file is known, and the new one's workers live (B7)."""
        bench.ledger.announce("old", {})
        bench.other.announce("new", {})
        bench.clock.advance(14)
        bench.other.announce("new", {})
        bench.clock.advance(10)
        assert bench.ledger.announce("old", {}) == Standing(newest=False, returned=True, files=2)

    def test_an_older_file_counts_once_the_newer_ones_workers_are_gone(self, bench: Bench) -> None:
        """The older file's limits apply after 15 s; the newer one has precedence as soon as it is back (B7)."""
        old, new = account(rate="100/s", burst=5), account(rate="1/h")
        bench.ledger.announce("old", accounts(old))
        bench.other.announce("new", accounts(new))
        bench.other.declare([new])
        bench.clock.advance(16)
        assert bench.ledger.announce("old", accounts(old)) == Standing(newest=True, returned=True, files=1)
        bench.ledger.declare([old])
        bench.go("a", old)
        bench.go("b", old)
        assert bench.other.announce("new", accounts(new)).newest
        assert bench.other.admit([application("c", new)]) != []
        assert bench.wait("d", old).reason is Reason.RATE_LIMIT

    @pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
    def test_a_clock_that_is_set_leaves_the_newest_file_the_newest(
        self, bench: Bench, seconds: float
    ) -> None:
        """The workers that spoke before live. This test once said that they count as gone, by which an old file's
        limits came into force for some seconds (B7)."""
        bench.ledger.announce("old", {})
        bench.other.announce("new", {})
        bench.clock.set_store(seconds)
        assert bench.ledger.announce("old", {}) == Standing(newest=False, returned=False, files=2)
        assert bench.ledger.announce("newer", {}) == Standing(newest=True, returned=True, files=2)

    def test_an_outage_leaves_the_newest_file_the_newest(self, bench: Bench) -> None:
        """The newer file stays the newest after an outage, even if the old worker announces itself first (A1, B7)."""
        bench.ledger.announce("old", {})
        bench.other.announce("new", {})
        bench.clock.pass_unasked(40)
        assert bench.ledger.announce("old", {}) == Standing(newest=False, returned=False, files=2)
        assert bench.other.announce("new", {}) == Standing(newest=True, returned=False, files=2)

    def test_a_worker_that_leaves_the_newest_file_makes_its_next_one_the_newest(self, bench: Bench) -> None:
        """A change that is taken back applies at once, though the file was seen before (0022)."""
        bench.ledger.announce("old", {})
        bench.other.announce("old", {})
        assert bench.ledger.announce("new", {}) == Standing(newest=True, returned=True, files=1)
        assert bench.other.announce("old", {}) == Standing(newest=False, returned=True, files=2)
        assert bench.other.announce("new", {}) == Standing(newest=True, returned=False, files=1)
        assert bench.ledger.announce("old", {}) == Standing(newest=True, returned=True, files=1)
        assert bench.other.announce("new", {}) == Standing(newest=False, returned=True, files=2)
        assert bench.other.announce("old", {}) == Standing(newest=True, returned=False, files=1)

    def test_a_worker_that_follows_late_changes_nothing(self, bench: Bench) -> None:
        """It goes through a file that the others have left already, which is not the newest again (0022)."""
        bench.ledger.announce("first", {})
        bench.other.announce("first", {})
        for file in ("second", "third"):
            bench.ledger.announce(file, {})
        assert bench.other.announce("second", {}) == Standing(newest=False, returned=True, files=2)
        assert bench.other.announce("third", {}) == Standing(newest=True, returned=False, files=1)

    def test_jobs_of_the_file_before_change_no_limit(self, bench: Bench) -> None:
        """A batch that was judged, and a call that began, before the reload bring the old limits with them (0022)."""
        old, new = account(rate="100/s", burst=50), account(rate="1/h")
        bench.ledger.announce("old", accounts(old))
        lease = bench.go("a", old)
        bench.ledger.announce("new", accounts(new))
        bench.ledger.declare([new])
        bench.go("b", old)
        assert bench.wait("c", old).reason is Reason.RATE_LIMIT
        assert isinstance(bench.ledger.renew(lease, old, Tally()), Parked)
        assert bench.released() == []


class StrangerContract:
    """Jobs of accounts that do not exist."""

    def test_a_stranger_is_told_of_once(self, bench: Bench) -> None:
        """A message that is delivered again gives no second event, at whichever worker (E7)."""
        assert bench.turn_away("a") is None
        again = bench.other.reject("a", "nosuch", None, rejection("a", "nosuch"), BROKEN)
        assert again == Seen("rejected") and len(bench.events()) == 1 and bench.deliveries() == []

    def test_a_stranger_leaves_its_id_free(self, bench: Bench) -> None:
        """The next job of that id is a job, not a repeat, also one of the account once it exists (E7)."""
        bench.turn_away("a")
        assert isinstance(bench.admit("a", account()), Lease)
        bench.turn_away("b")
        assert isinstance(bench.admit("b", account("nosuch")), Lease)

    def test_a_stranger_is_forgotten_after_minutes(self, bench: Bench) -> None:
        """Then the same message counts as a new one (E7)."""
        bench.turn_away("a")
        bench.clock.advance(601)
        assert bench.turn_away("a") is None and len(bench.events()) == 2

    def test_each_job_of_a_stranger_gets_its_event(self, bench: Bench) -> None:
        """Other fields, or another account, are another job: as no id is taken, there is no conflict (E7)."""
        bench.turn_away("a")
        assert bench.ledger.reject("a", "nosuch", None, rejection("a", "nosuch"), "{}") is None
        assert bench.ledger.reject("a", "nobody", None, rejection("a", "nobody"), "{}") is None
        assert len(bench.events()) == 3

    def test_a_stranger_ends_no_job_of_another_account(self, bench: Bench) -> None:
        """An id that is in use gets no event under another name: the stranger's job is a conflict (E7)."""
        bench.go("a", account())
        assert bench.turn_away("a") == Foreign()
        assert bench.events() == []

    def test_a_job_whose_account_was_removed_stands(self, bench: Bench) -> None:
        """A worker that does not know the account meets a repeat, or a conflict, as one that does (E7)."""
        bench.go("a", account("nosuch"))
        assert bench.turn_away("a") == Seen("dialling", ("fields",))
        assert bench.events() == []


class ProducersContract(ConflictContract, StrangerContract, FilesContract):
    """The promises of `ports.Ledger` when producers or workers do not agree. A subclass gives the fixture `bench`."""
