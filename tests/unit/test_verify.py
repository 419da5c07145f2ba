"""The use case from request to outcome: what is put on record, dialled, waited for, and said in the end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.doubles.samples import REF, account, accounts, job
from tests.doubles.world import World
from worker.core.judging import Submission
from worker.core.records import Due, Reason, Seen, Source
from worker.core.verify import FOREIGN_ACCOUNT_WAIT_SECONDS
from worker.errors import AccountProblem, Misconfigured, Redial, Refused, Retry, StoreUnavailable

OWNER = account("acme", "10/s", ttl=600)


def busy(**fields: Any) -> Retry:
    return Retry("503", sent=True, **fields)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(
        monkeypatch, OWNER, account("once", "10/s", redials=0, attempts=1), account("globex", "10/s")
    )


class TestOutcomes:
    """The outcomes of a job's attempts."""

    def test_a_ref_is_a_placed_call(self, world: World) -> None:
        """One request ends in one event, which has the ref."""
        world.dial([world.lease()])
        assert world.outcome() == ("call.placed", REF, 1)
        assert world.watch.named("finished") == [("job-1", "placed", "")]

    def test_retries_run_out(self, world: World) -> None:
        """A provider that never takes the request: as many requests as `attempts`, then failed."""
        world.provider.answers = [busy() for _ in range(9)]
        world.dial([world.lease()])
        world.run(200)
        assert world.outcome() == ("call.failed", "PROVIDER_UNAVAILABLE", 5)
        assert len(world.provider.requests) == 5

    def test_attempts_count_requests_that_left(self, world: World) -> None:
        """An attempt without a connection spends the budget, but the event does not count it as a request."""
        world.provider.before_gate = [Retry("connection refused", sent=False) for _ in range(5)]
        world.dial([world.lease()])
        world.run(200)
        assert world.outcome() == ("call.failed", "PROVIDER_UNAVAILABLE", 0)

    def test_a_passing_failure_is_retried(self, world: World) -> None:
        """A provider that is unavailable twice gives a ref in the end."""
        world.provider.answers = [busy(), busy()]
        world.dial([world.lease()])
        world.run(100)
        assert world.outcome() == ("call.placed", REF, 3)

    def test_a_phone_is_rung_no_more_than_redials_allow(self, world: World) -> None:
        """With one redial, the outcome is unknown after two requests that may have rung."""
        world.provider.answers = [Redial("reset"), Redial("reset"), REF]
        world.dial([world.lease()])
        world.run(100)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 2)
        assert len(world.provider.requests) == 2

    def test_without_redials_one_doubt_is_the_end(self, world: World) -> None:
        """An account with redials = 0 is not rung again."""
        world.provider.answers = [Redial("reset")]
        world.dial([world.lease(account_name="once")])
        world.run(100)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 1)
        assert len(world.provider.requests) == 1

    def test_a_redial_may_end_in_a_ref(self, world: World) -> None:
        """The second request's ref is the outcome."""
        world.provider.answers = [Redial("reset")]
        world.dial([world.lease()])
        world.run(100)
        assert world.outcome() == ("call.placed", REF, 2)

    def test_a_refusal_after_a_doubt_is_the_provider_s_last_word(self, world: World) -> None:
        """A job that perhaps rang and is then refused fails with the provider's code."""
        world.provider.answers = [Redial("reset"), Refused("INVALID_TELEPHONE", "not valid")]
        world.dial([world.lease()])
        world.run(100)
        assert world.outcome() == ("call.failed", "INVALID_TELEPHONE", 2)

    def test_retries_that_run_out_after_a_doubt_leave_it(self, world: World) -> None:
        """A job that perhaps rang and then meets only an unavailable provider ends as unknown, not as failed."""
        world.provider.answers = [Redial("reset"), *(busy() for _ in range(9))]
        world.dial([world.lease()])
        world.run(300)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 6)

    def test_a_doubtful_job_that_expires_is_unknown(self, world: World) -> None:
        """A job that perhaps rang and has no time left for a redial ends as unknown, not as expired."""
        world.provider.answers = [Redial("reset"), *(busy(retry_after_seconds=70.0) for _ in range(9))]
        world.dial([world.lease(expires_at="2027-01-15T08:01:00Z")])
        world.run(100)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 2)

    def test_a_refused_job_is_not_tried_again(self, world: World) -> None:
        """The provider's code passes through."""
        world.provider.answers = [Refused("INVALID_TELEPHONE", "not valid")]
        world.dial([world.lease()])
        world.run(50)
        assert world.outcome() == ("call.failed", "INVALID_TELEPHONE", 1)
        assert world.watch.named("refused") == ["INVALID_TELEPHONE"]

    def test_a_wrong_configuration_fails_at_once(self, world: World) -> None:
        """No second request to an address whose certificate is refused."""
        world.provider.before_gate = [Misconfigured("certificate refused", sent=False)]
        world.dial([world.lease()])
        world.run(50)
        assert world.outcome() == ("call.failed", "PROVIDER_UNAVAILABLE", 0)
        assert world.provider.requests == []


class TestWaiting:
    """Jobs that must wait between two attempts, or for their account."""

    def test_a_longer_wait_is_spent_in_the_lane(self, world: World) -> None:
        """The thread is free during a backoff; the job says why it waits."""
        world.provider.answers = [busy(retry_after_seconds=20.0)]
        world.dial([world.lease()])
        record = world.store.records["job-1"]
        assert record.state == "waiting" and record.why is Reason.BACKOFF
        assert record.tally.not_rung == 1 and world.clock() < 1

    def test_a_short_wait_is_slept_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Up to a tenth of a second the job stays in hand, and gets a fresh slot."""
        world = World(monkeypatch, OWNER, wait=lambda *_: 0.1)
        world.provider.answers = [busy()]
        world.dial([world.lease()])
        assert world.outcome() == ("call.placed", REF, 2)
        first, second = world.provider.requests
        assert second - first >= 0.1

    def test_the_provider_s_wish_is_honoured(self, world: World) -> None:
        """No request before the time that Retry-After gave."""
        world.provider.answers = [busy(retry_after_seconds=17.0)]
        world.dial([world.lease()])
        world.run(60)
        first, second = world.provider.requests
        assert second - first >= 17.0

    def test_a_refused_account_is_held_and_probed(self, world: World) -> None:
        """The job is not spent: it waits, a probe finds the account well again, and it is placed."""
        world.provider.answers = [AccountProblem("NO_POINTS", "no points") for _ in range(2)]
        world.dial([world.lease()])
        assert world.watch.named("held") == ["NO_POINTS"]
        assert world.store.limits["acme"].hold == "NO_POINTS"
        assert world.store.records["job-1"].why is Reason.HELD
        world.run(60)
        assert world.outcome() == ("call.placed", REF, 3)
        assert world.store.limits["acme"].hold is None

    def test_a_held_job_expires_in_time(self, world: World) -> None:
        """The jobs of an account that nobody repairs expire at their `expires_at`."""
        world.provider.answers = [AccountProblem("NO_POINTS", "no points") for _ in range(99)]
        world.dial([world.lease()])
        world.run(620, step_seconds=1)
        assert world.outcome()[:2] == ("call.expired", "EXPIRED")

    def test_a_flood_does_not_touch_another_account(self, world: World) -> None:
        """A job of a quiet account goes at once while a thousand wait elsewhere."""
        world.accept(*(job(f"flood-{n}") for n in range(1000)), places=1)
        world.dial([world.lease("single", account_name="globex")])
        assert world.outcome("single")[0] == "call.placed"

    def test_jobs_over_the_limit_go_in_order_at_their_rate(self, world: World) -> None:
        """Ten jobs at ten per second take about a second, in the order in which they came."""
        world.dial(world.accept(*(job(f"job-{n}") for n in range(10)), places=10))
        world.run(2, step_seconds=0.01)
        assert [event["data"]["id"] for event in world.events()] == [f"job-{n}" for n in range(10)]
        gaps = [
            later - one
            for one, later in zip(world.provider.requests, world.provider.requests[1:], strict=False)
        ]
        assert all(gap >= 0.07 for gap in gaps)
        assert world.provider.requests[-1] == pytest.approx(0.9, abs=0.1)


class TestForeignAccount:
    """A job whose account this worker's file does not name."""

    def test_its_job_is_left_to_others(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is parked for some seconds, neither dialled nor ended."""
        other = World(monkeypatch, account("acme", "10/s"))
        lease = world.lease(account_name="globex")
        other.share(world)
        other.dial([lease])
        record = world.store.records["job-1"]
        assert record.state == "waiting" and record.why is Reason.HELD and other.provider.requests == []
        world.clock.advance(FOREIGN_ACCOUNT_WAIT_SECONDS)
        world.run(1)
        assert world.outcome()[0] == "call.placed"


class TestRecovery:
    """Jobs that another worker left behind, or that nobody could dial in time."""

    def test_a_waiting_job_expires(self, world: World) -> None:
        """Its event says that the phone was never rung."""
        world.accept(job(expires_at="2027-01-15T08:00:05Z"), places=0)
        world.clock.advance(5)
        (lease,) = world.ledger.reclaim(10)
        world.decide_overdue(lease)
        assert lease.due is Due.EXPIRED and world.outcome() == ("call.expired", "EXPIRED", 0)

    def test_a_lost_job_is_redialled_as_far_as_allowed(self, world: World) -> None:
        """The lost intent counts as one request that may have rung; one redial is left."""
        world.lease()
        world.run(40)
        assert world.outcome() == ("call.placed", REF, 2)
        assert len(world.provider.requests) == 1

    def test_a_lost_job_without_redials_is_unknown(self, world: World) -> None:
        """Nobody dials again, and nobody says that it failed."""
        world.lease(account_name="once")
        world.run(40)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 1)
        assert world.provider.requests == []

    def test_a_job_lost_twice_is_unknown(self, world: World) -> None:
        """Two lost intents with one redial: the outcome cannot be known, and it is not dialled a third time."""
        world.lease()
        world.clock.advance(31)
        world.decide_overdue(*world.ledger.reclaim(1))
        world.ledger.lease_due(1)
        world.clock.advance(31)
        world.run(10)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 2)

    def test_a_lost_job_that_expired_is_unknown(self, world: World) -> None:
        """Its lost request may have rung the phone."""
        world.lease(expires_at="2027-01-15T08:00:20Z")
        world.run(40)
        assert world.outcome() == ("call.unknown", "OUTCOME_UNKNOWN", 1)

    def test_a_lost_job_of_a_foreign_account_goes_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that does not know the account's redials does not decide."""
        world.lease(account_name="globex")
        world.clock.advance(31)
        other = World(monkeypatch, account("acme", "10/s"))
        other.share(world)
        other.clock.advance(31)
        (lease,) = world.ledger.reclaim(10)
        other.decide_overdue(lease)
        assert world.store.records["job-1"].state == "waiting"


class TestAccept:
    """The results of a batch of requests."""

    def test_a_stranger_s_event_has_the_same_id_each_time(self, world: World) -> None:
        """A subscriber recognises the repeat of what the ledger has forgotten; another account has another id (E7)."""
        ids = []
        for name in ("nosuch", "nosuch", "nobody"):
            fields = {"id": "a", "account": name, "country": "1", "phone": "2125555555", "code": "4321"}
            world.reception.accept([Submission(fields, Source.CELERY)], 0)
            ids.append(world.store.outbox[-1][1].id)
            world.store.strangers.clear()
        assert ids[0] == ids[1] != ids[2] and len(world.store.outbox) == 3

    def test_each_request_gets_what_it_is_due(self, world: World) -> None:
        """Valid ones are admitted, a repeat is said, an invalid one is rejected, a broken one is buried."""
        good = {"account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}
        requests = [
            Submission(good | {"id": "good"}, Source.STREAM),
            Submission(good, Source.CELERY, "by-task"),
            Submission(good | {"id": "good"}, Source.CELERY),
            Submission(good | {"id": "bad", "code": "0"}, Source.CELERY),
            Submission(good | {"id": "bad", "code": "0"}, Source.CELERY),
            Submission(good, Source.STREAM),
        ]
        leases = world.reception.accept(requests, 9).leases
        assert [lease.job.id for lease in leases] == ["good"]
        accepted = world.watch.named("accepted")
        assert ("acme", "good", Source.STREAM) in accepted and ("acme", "by-task", Source.CELERY) in accepted
        assert world.watch.named("repeated") == [
            ("acme", "bad", Seen("rejected")),
            ("acme", "good", Seen("dialling")),
        ]
        assert world.dead_letters.reasons == ["id: is required"]
        assert world.outcome("bad") == ("call.rejected", "INVALID_JOB", 0)

    def test_task_s_id_goes_with_its_letter(self, world: World) -> None:
        """A Celery message without an account is no job yet, but has an id, which sending it again must keep (D7)."""
        world.reception.accept([Submission({"country": "1"}, Source.CELERY, "task-1")], 1)
        assert world.dead_letters.job_ids == ["task-1"]

    def test_no_more_are_leased_than_there_are_threads(self, world: World) -> None:
        """The others are parked, with the reason."""
        jobs = [job(f"job-{n}", account_name) for n, account_name in enumerate(("acme", "globex", "once"))]
        leases = world.accept(*jobs, places=2)
        assert [lease.job.id for lease in leases] == ["job-0", "job-1"]
        ((name, reason, _),) = world.watch.named("parked")
        assert (name, reason) == ("job-2", Reason.NO_PLACES)

    def test_a_pause_is_the_reason_of_the_jobs_that_come_meanwhile(self, world: World) -> None:
        """They wait because nothing is dialled, not because all places are taken."""
        fields = job("job-1").model_dump(mode="json", exclude_none=True)
        assert world.reception.accept([Submission(fields, Source.CELERY)], 0, paused=True).leases == []
        ((_, reason, _),) = world.watch.named("parked")
        assert reason == Reason.PAUSED

    def test_a_rejection_is_told_to_the_account_s_webhooks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An invalid job of a known account has its event delivered, its values left out."""
        world = World(monkeypatch, OWNER)
        world.accept(job(country="1"))
        request = Submission(
            {"id": "bad", "account": "acme", "country": "1", "phone": "x", "code": "4321"}, Source.STREAM
        )
        world.reception.accept([request], 0)
        data = world.event("bad")["data"]
        assert set(data["error"]["fields"]) == {"phone"} and data["phone"] is None
        assert "4321" not in str(world.event("bad"))

    def test_with_the_store_away_nothing_is_accepted(self, world: World) -> None:
        """The caller keeps the requests; given again later they are admitted once."""
        world.store.away = True
        with pytest.raises(StoreUnavailable):
            world.accept(job())
        world.store.away = False
        world.dial(world.accept(job()))
        assert world.outcome()[0] == "call.placed" and len(world.events()) == 1

    def test_events_carry_the_store_s_times(self, world: World) -> None:
        """The times of acceptance and end are the store's, in order."""
        lease = world.lease()
        world.clock.advance(2)
        world.dial([lease])
        data = world.event()["data"]
        accepted, finished = (datetime.fromisoformat(data[name]) for name in ("accepted_at", "finished_at"))
        assert accepted.astimezone(UTC).timestamp() * 1_000_000 == lease.accepted_at_us
        assert (finished - accepted).total_seconds() == pytest.approx(2, abs=0.2)


class TestChangedAccounts:
    """The accounts file changes while the worker runs (0022)."""

    def test_a_batch_is_judged_under_one_version(self, world: World) -> None:
        """A change in the middle of a batch applies to the next one."""
        judged: list[str] = []

        class Fields(dict[str, Any]):
            def get(self, *args: Any) -> Any:
                if not judged:
                    world.accounts.use(accounts(account("new", "10/s")))
                judged.append("one")
                return super().get(*args)

        batch = [
            Submission(Fields(one.model_dump(mode="json", exclude_none=True)), Source.CELERY)
            for one in (job("a", "acme"), job("b", "new"), job("c", "acme"))
        ]
        assert [lease.job.id for lease in world.reception.accept(batch, places=3).leases] == ["a"]
        assert [(body["data"]["id"], body["type"]) for body in world.events()] == [("b", "call.rejected")]
        assert world.store.limits["acme"].lane.keys() == {"c"}
        assert [lease.job.account for lease in world.accept(job("d", "new"))] == ["new"]

    def test_a_call_keeps_the_account_with_which_it_began(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its retries go on with the account, though that is gone by now."""
        world = World(monkeypatch, account("acme", "10/s", burst=5), wait=lambda *_: 0.0)

        def removed() -> str:
            world.accounts.use(accounts(account("globex")))
            raise Redial("no answer")

        world.provider.answers = [removed, REF]
        world.dial([world.lease()])
        assert world.outcome() == ("call.placed", REF, 2)

    def test_a_job_that_waits_for_a_removed_account_is_kept_for_its_return(self, world: World) -> None:
        """It is not dialled while the account is gone."""
        lease, before = world.lease(), world.accounts.now
        world.accounts.use(accounts(account("globex")))
        world.dial([lease])
        world.run(60)
        assert world.provider.requests == [] and world.events() == []
        world.accounts.use(before)
        world.run(10)
        assert world.outcome() == ("call.placed", REF, 1)
