"""What only a ledger on a real Redis can get wrong: lost scripts and connections, an unwilling server, stray keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, failed, placed, rejection
from tests.redis_server import RedisServer
from worker.core.records import Due, Foreign, Known, Lease, Parked, Reason, Seen
from worker.core.retry import Tally
from worker.errors import StoreUnavailable, WrongKey
from worker.redisio.connection import connect
from worker.state import holds, keys
from worker.state.admission import MAX_JOBS
from worker.state.ledger import RedisLedger
from worker.state.refusals import STRANGER_MS
from worker.state.views import JobViews

SHARD = keys.prefix_of("acme")
MAX_WAITING_BYTES = 900


def real_time(client: Any, lease_seconds: float = 30) -> RedisLedger:
    return redis_ledger(client, lease_seconds=lease_seconds)


def go(ledger: RedisLedger, job_id: str = "a", **limits: Any) -> Lease:
    (lease,) = ledger.admit([application(job_id, account(**limits))])
    assert isinstance(lease, Lease)
    return lease


def reclaimed(ledger: RedisLedger, clock: StoredClock, looks: int) -> list[str]:
    """Reclaim by the store's own clock, which moves with Redis' clock at each look."""
    found: list[str] = []
    for _ in range(looks):
        clock.set_store(0.9)
        found += [lease.job.id for lease in ledger.reclaim(9)]
    return found


def release(ledger: RedisLedger) -> list[Lease]:
    return ledger.lease_due(100).leases


class TestServer:
    """A server that is away, forgetful or unwilling."""

    def test_forgotten_scripts_are_loaded_again(self, client: redis.Redis) -> None:
        """After SCRIPT FLUSH, or on a new replica, the next call works; a batch as a whole too."""
        ledger = real_time(client)
        go(ledger, burst=9)
        client.script_flush()
        batch = [application(name, account(burst=9)) for name in ("a", "b", "c")]
        admissions = ledger.admit(batch)
        assert admissions[0] == Seen("dialling")
        assert [type(admission) for admission in admissions[1:]] == [Lease, Lease]

    def test_a_connection_lost_between_calls_is_replaced(self, client: redis.Redis, redis_url: str) -> None:
        """Connections that the server closed while they lay idle cost at most one failed call."""
        ledger = real_time(client)
        lease = go(ledger)
        with redis.Redis.from_url(redis_url) as other:
            other.client_kill_filter(_type="normal", skipme=True)
        try:
            decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
        except StoreUnavailable:
            decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
        assert ledger.admit([application("a", account())]) == [Seen("placed")]

    def test_a_server_that_takes_no_writes_is_unavailable(self, client: redis.Redis) -> None:
        """A server without its required replicas raises StoreUnavailable, and nothing is half written."""
        ledger = real_time(client)
        lease = go(ledger, "first", burst=9)
        client.config_set("min-replicas-to-write", "3")
        try:
            with pytest.raises(StoreUnavailable):
                ledger.admit([application("a", account(burst=9))])
            with pytest.raises(StoreUnavailable):
                decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
        finally:
            client.config_set("min-replicas-to-write", "0")
        assert not client.exists(f"{SHARD}job:a")
        decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
        go(ledger, "a", burst=9)

    def test_a_replica_is_unavailable(self, client: redis.Redis) -> None:
        """A server that was demoted takes no decision; once it is the master again the ledger goes on."""
        ledger = real_time(client)
        go(ledger, "first", burst=9)
        client.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(StoreUnavailable):
                ledger.admit([application("a", account(burst=9))])
        finally:
            client.replicaof("NO", "ONE")
        go(ledger, "a", burst=9)

    def test_a_kill_of_the_server_loses_nothing_it_confirmed(self, tmp_path: Path) -> None:
        """Jobs, limits and fences outlive a SIGKILL of a server with an append-only file; calls meanwhile fail."""
        with RedisServer(tmp_path) as server, connect(server.url) as client:
            ledger = real_time(client)
            lease = go(ledger, rate="1/h")
            assert isinstance(ledger.admit([application("b", account(rate="1/h"))])[0], Parked)
            server.kill()
            with pytest.raises(StoreUnavailable):
                decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
            server.start()
            assert ledger.admit([application("b", account(rate="1/h"))]) == [Seen("waiting")]
            assert isinstance(ledger.admit([application("c", account(rate="1/h"))])[0], Parked)
            decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
            assert ledger.admit([application("a", account(rate="1/h"))]) == [Seen("placed")]

    def test_slots_are_told_in_this_process_time(self, client: redis.Redis) -> None:
        """A slot opens about now on real clocks, closes later, and Redis' time is known to some milliseconds."""
        lease = go(real_time(client), rate="1/s")
        seconds, microseconds = client.time()
        assert 0 < lease.slot.closes - lease.slot.opens < 2
        assert abs(lease.now_us(lease.slot.opens) - (seconds * 1_000_000 + microseconds)) < 2_000_000
        assert lease.slot.lease_ends - lease.slot.opens == pytest.approx(30, abs=1)


class TestStrayKeys:
    """A store that was meddled with must not stop the jobs that are whole."""

    def test_deleted_records_stop_nobody(
        self, client: redis.Redis, ledger: RedisLedger, clock: StoredClock
    ) -> None:
        """Jobs whose records someone deleted, in hand, waiting or expiring, leave the indexes without an error."""
        for name in ("held", "waits", "expires"):
            ledger.admit([application(name, account(burst=9, ttl=20), may_dial=name == "held")])
        client.delete(*(f"{SHARD}job:{name}" for name in ("held", "waits", "expires")))
        ledger.admit([application("whole", account(burst=9, ttl=20), may_dial=False)])
        assert [lease.job.id for lease in release(ledger)] == ["whole"]
        clock.advance(31)
        assert [lease.job.id for lease in ledger.reclaim(50)] == ["whole"]
        for index in ("lane:acme", "expiry", "due"):
            assert client.zcard(SHARD + index) == 0
        assert client.zrange(SHARD + "leases", 0, -1) == [b"whole"]

    @pytest.mark.parametrize("instead", [None, "something else"])
    def test_a_lost_clock_takes_nobody_for_lost(
        self, client: Any, ledger: RedisLedger, clock: StoredClock, instead: str | None
    ) -> None:
        """The store's clock begins again, an hour later: those who live have a lease's time to keep their jobs. (A1)"""
        clock.pass_unasked(3600)
        kept, _ = go(ledger, "kept", burst=9), go(ledger, "lost", burst=9)
        client.delete(keys.CLOCK)
        if instead:
            client.rpush(keys.CLOCK, instead)
        assert ledger.reclaim(9) == []
        ledger.extend([kept])
        assert reclaimed(ledger, clock, looks=32) == []
        ledger.extend([kept])
        assert reclaimed(ledger, clock, looks=5) == ["lost"]

    def test_a_job_of_another_version_takes_no_other_along(
        self, client: redis.Redis, ledger: RedisLedger, clock: StoredClock
    ) -> None:
        """A record that this version cannot read is said and left to its lease; the others are leased."""
        for name in ("foreign", "own"):
            ledger.admit([application(name, account(burst=9), may_dial=False)])
        client.hset(f"{SHARD}job:foreign", "job", '{"id": "foreign", "newer": 1}')
        with capture_logs() as lines:
            assert [lease.job.id for lease in release(ledger)] == ["own"]
            clock.advance(31)
            assert [lease.job.id for lease in ledger.reclaim(50)] == ["own"]
        assert [(line["event"], line["job_id"]) for line in lines] == [("job.unreadable", "foreign")] * 2

    def test_an_account_whose_limits_are_lost_sends_nothing(
        self, client: redis.Redis, ledger: RedisLedger, clock: StoredClock
    ) -> None:
        """A lease leaves no time to send if no pace is on record; the renewal brings the pace back."""
        ledger.admit([application("a", account(), may_dial=False)])
        client.delete(f"{SHARD}limit:acme")
        (lease,) = release(ledger)
        assert lease.slot.closes <= lease.slot.opens
        renewed = ledger.renew(lease, account(), Tally())
        assert isinstance(renewed, Lease) and renewed.slot.closes > renewed.slot.opens


class TestBatch:
    """Jobs that come together go to Redis together."""

    def test_jobs_that_come_together_keep_their_order(
        self, ledger: RedisLedger, client: redis.Redis, clock: StoredClock
    ) -> None:
        """First in, first out, though the clock has one moment for all of them, and a lane no order among equals."""
        names = [f"job-{n:02}" for n in reversed(range(MAX_JOBS))]
        ledger.admit([application(name, account(), may_dial=False) for name in names])
        clock.advance(0.001)
        ledger.declare([account(rate="1000/s", burst=100, concurrency=100)])
        assert [lease.job.id for lease in release(ledger)] == names

    def test_a_batch_of_any_size_is_answered_in_order(self, ledger: RedisLedger) -> None:
        """However its jobs are spread over accounts, shards and calls."""
        names = [f"a{n % 7}" for n in range(300)]
        batch = [application(f"job-{n}", account(name, "1/h")) for n, name in enumerate(names)]
        repeated = application("job-5", account("a6", "1/h"))
        answers = ledger.admit([*batch, batch[3], repeated])
        assert [lease.job.id for lease in answers[:7] if isinstance(lease, Lease)] == [
            f"job-{n}" for n in range(7)
        ]
        assert all(isinstance(answer, Parked) for answer in answers[7:300])
        places = [int(answer.until_us) for answer in answers[7:300:7] if isinstance(answer, Parked)]
        assert places == sorted(places)
        assert answers[300:] == [Seen("dialling"), Foreign()]

    def test_an_error_in_between_leaves_no_record_without_a_lane(
        self, client: redis.Redis, ledger: RedisLedger
    ) -> None:
        """Else the repeat would count as seen, and nobody would ever look for the job."""
        client.set(f"{SHARD}lane:acme", "meddled with")
        with pytest.raises(WrongKey):
            ledger.admit([application(name, account(), may_dial=False) for name in ("a", "b")])
        assert not client.exists(f"{SHARD}job:a", f"{SHARD}job:b")
        client.delete(f"{SHARD}lane:acme")
        again = ledger.admit([application(name, account(), may_dial=False) for name in ("a", "b")])
        assert [type(one) for one in again] == [Parked, Parked]

    def test_leases_that_an_error_kept_back_are_given_to_the_repeat(
        self, client: redis.Redis, ledger: RedisLedger
    ) -> None:
        """An account whose keys are broken does not cost the others of its batch a request that may have rung."""
        client.set(f"{keys.prefix_of('globex')}lane:globex", "meddled with")
        whole, broken = application("a", account()), application("b", account("globex"))
        with pytest.raises(WrongKey):
            ledger.admit([whole, broken])
        (lease,) = ledger.admit([whole])
        assert isinstance(lease, Lease) and lease.fence == 1 and lease.tally == Tally()


class TestRecord:
    """The record that a job leaves."""

    def test_an_ended_job_keeps_no_pin(self, client: Any, ledger: RedisLedger) -> None:
        """Once a job has ended, neither its PIN nor its number is in any key, and its record goes in time."""
        lease = go(ledger)
        decisions.settle(ledger, lease, account(), Tally(sent=1), placed(lease))
        assert not client.exists(f"{SHARD}payload:a")
        assert b"2125555555" not in dump(client) and b"4321" not in client.hget(f"{SHARD}job:a", "event")
        assert 0 < client.pttl(f"{SHARD}job:a") <= 3_600_000

    def test_a_waiting_job_never_goes_by_itself(self, client: redis.Redis, ledger: RedisLedger) -> None:
        """No key of a job that has not ended has a time to live, but the claim of its id, which outlives the job."""
        ledger.admit([application("a", account(ttl=600), may_dial=False)])
        for key in client.scan_iter(f"{SHARD}*"):
            assert client.pttl(key) == -1
        assert client.pttl(keys.claim("a")) > (600 + 3600 + 3600) * 1000

    def test_history_does_not_grow_for_ever(
        self, client: redis.Redis, ledger: RedisLedger, clock: StoredClock
    ) -> None:
        """However often a job is renewed and parked, its record stays small."""
        owner = account(rate="100/s", ttl=999_999)
        lease = go(ledger, rate="100/s", ttl=999_999)
        for _ in range(300):
            decisions.park(ledger, lease, Tally(), Reason.BACKOFF, 0.0, "x" * 40)
            clock.advance(0.1)
            (lease,) = release(ledger)
            renewed = ledger.renew(lease, owner, Tally())
            assert isinstance(renewed, Lease | Parked)
        assert len(client.hget(f"{SHARD}job:a", "history") or b"") <= 4000

    def test_a_waiting_job_is_small(self, client: redis.Redis, ledger: RedisLedger) -> None:
        """A waiting job with a UUID is small, with all its keys and its index entries."""
        names = [f"{n:08}-1111-2222-3333-444444444444" for n in range(3000)]
        before = int(client.info("memory")["used_memory"])
        ledger.admit([application(name, account(), may_dial=False) for name in names])
        used = int(client.info("memory")["used_memory"]) - before
        assert used / len(names) <= MAX_WAITING_BYTES

    def test_every_key_of_a_job_lies_on_its_shard(self, client: Any, ledger: RedisLedger) -> None:
        """All keys but the claim carry the account's hash tag, so that its shard may be moved.

        All shards share the clock and the id of the installation.
        """
        lease = go(ledger)
        ledger.admit([application("b", account(), may_dial=False)])
        decisions.settle(ledger, lease, account(), Tally(sent=1), failed(lease))
        others = [key for key in client.scan_iter() if not key.startswith((SHARD.encode(), b"test:"))]
        for shared in (keys.CLOCK, keys.INSTALLATION):
            others.remove(shared.encode())
        assert sorted(others) == [keys.claim("a").encode(), keys.claim("b").encode()]


class TestOperatorsHold:
    """The hold that only an operator ends."""

    def test_nothing_is_leased_until_the_operator_resumes(
        self, ledger: RedisLedger, clock: StoredClock, client: redis.Redis
    ) -> None:
        """No probe, however long it takes; and all go on afterwards."""
        ledger.admit([application("a", account(), may_dial=False)])
        assert holds.hold(client, "acme", "invoice open")
        assert not holds.hold(client, "acme", "invoice open")
        assert ledger.admit([application("b", account())]) == [Parked(Reason.HELD, 0)]
        clock.advance(300)
        assert release(ledger) == []
        assert holds.resume(client, "acme")
        assert not holds.resume(client, "acme")
        assert [lease.probe for lease in release(ledger)] == [False]

    def test_a_hold_of_all_ends_probes_and_leaves_operators_holds(
        self, ledger: RedisLedger, client: redis.Redis
    ) -> None:
        """What the provider refused is tried no more until it is resumed; another operator's hold stays."""
        decisions.hold(ledger, go(ledger, burst=5), Tally(sent=1), "NO_POINTS")
        holds.hold(client, "globex", "operator")
        assert holds.hold_all(client, ["acme", "globex"], "operator: all") == 1
        assert client.hmget(f"{SHARD}limit:acme", ["hold", "probe_at"]) == [b"operator: all", b"0"]
        assert holds.resume_all(client, ["acme", "globex"], "operator: all") == 1
        assert holds.resume_all(client, ["acme", "globex"]) == 1

    def test_a_call_under_way_does_not_end_the_operators_hold(
        self, ledger: RedisLedger, clock: StoredClock, client: redis.Redis
    ) -> None:
        """The operator's hold stays, whether a call under way succeeds or is refused."""
        decisions.hold(ledger, go(ledger, burst=5), Tally(sent=1), "NO_POINTS")
        clock.advance(5)
        (probe,) = release(ledger)
        holds.hold(client, "acme", "operator")
        decisions.settle(ledger, probe, account(), Tally(sent=1), placed(probe))
        assert client.hmget(f"{SHARD}limit:acme", ["hold", "probe_at"]) == [b"operator", b"0"]

    def test_a_refusal_does_not_turn_it_into_a_hold_with_probes(
        self, ledger: RedisLedger, clock: StoredClock, client: redis.Redis
    ) -> None:
        """A call in flight that finds the account without points leaves the operator's hold as it is."""
        lease = go(ledger)
        holds.hold(client, "acme", "operator")
        decisions.hold(ledger, lease, Tally(sent=1), "NO_POINTS")
        clock.advance(600)
        assert client.hget(f"{SHARD}limit:acme", "hold") == b"operator"
        assert [lease.due for lease in ledger.reclaim(9)] == [Due.EXPIRED] and release(ledger) == []


def dump(client: Any) -> bytes:
    """Every value of every key, as far as jobs are concerned."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"hash": client.hgetall,
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    return b"\n".join(
        key + b" " + repr(readers[client.type(key)](key)).encode() for key in client.scan_iter()
    )


class TestStrangers:
    """Jobs of accounts that do not exist."""

    def test_strangers_take_a_bounded_memory(self, client: redis.Redis, clock: StoredClock) -> None:
        """However many there are: the newest are remembered, for minutes, and no id is claimed (E7)."""
        ledger = redis_ledger(client, clock, max_strangers=20)
        for n in range(100):
            turn_away(ledger, f"job-{n}")
        shard = keys.prefix_of("nosuch")
        assert list(client.scan_iter("callworker:id:*")) == []
        assert len(list(client.scan_iter(f"{shard}stranger:*"))) == client.zcard(f"{shard}strangers") == 20
        assert turn_away(ledger, "job-99") is not None and turn_away(ledger, "job-0") is None
        found: Any = [client.pttl(key) for key in client.scan_iter(f"{shard}stranger*")]
        assert all(0 < left_ms <= STRANGER_MS for left_ms in found)

    def test_a_stranger_is_shown(self, client: redis.Redis, ledger: RedisLedger) -> None:
        """`callworker job` finds a remembered stranger without knowing the account (E7)."""
        turn_away(ledger, "a")
        view = JobViews(client).find("a")
        assert view is not None and (view.account, view.state) == ("nosuch", "rejected")
        assert view.event is not None and [step.name for step in view.history] == ["rejected"]


def turn_away(ledger: RedisLedger, job_id: str) -> Known | None:
    return ledger.reject(job_id, "nosuch", None, rejection(job_id, "nosuch"), "{}")
