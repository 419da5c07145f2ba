"""A store on three servers: one that is away stops its own accounts, and nothing of theirs is lost or done twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.contract.hooks import GOOD
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, accounts, application, placed, rejection
from tests.processes import wait_until
from tests.several_servers import PATIENCE_SECONDS, SeveralServers, patient, several_servers
from worker.cli.doctor import parts
from worker.cli.doctor.finding import Grade
from worker.core.accounts import Account
from worker.core.canceling import Canceling
from worker.core.cancels import Cancel, Noted, Withdrawn
from worker.core.endpoints import Endpoint
from worker.core.notices import conflict
from worker.core.records import Admission, Ending, Foreign, Later, Lease, Parked, Recorded
from worker.core.retry import Tally
from worker.delivery.ports import Conclusion, Destination, Effect, Health, Verdict
from worker.errors import StoreUnavailable
from worker.redisio.node import Node
from worker.redisio.reach import Reach
from worker.state.census import Census
from worker.state.deliveries import RedisDeliveries
from worker.state.ledger import RedisLedger
from worker.state.outbox import RedisOutbox

AWAY = 1
"""The server that goes away. Server 0 has all claims."""

HOOK = Endpoint(url="https://hooks.example.com/all", secret_env=("A",))


class Bench:
    """An account on each server, and one worker's ledger."""

    def __init__(self, store: SeveralServers) -> None:
        self.store, self.scripts = store, store.scripts()
        self.ledger: RedisLedger = redis_ledger(self.scripts)
        self.outbox = RedisOutbox(self.scripts)
        self.owners = [
            account(store.account_on(n), "1000/s", burst=50, concurrency=50, webhooks=(HOOK,))
            for n in range(len(store.servers))
        ]
        # A worker has asked for work before anything goes wrong, and knows which installation this is.
        self.ledger.lease_due(1)

    @property
    def away(self) -> Account:
        return self.owners[AWAY]

    def admit(self, *names: str, may_dial: bool = True) -> list[Admission]:
        """Admit jobs; the first character of each name is the number of its server."""
        return self.ledger.admit([
            application(name, self.owners[int(name[0])], may_dial=may_dial) for name in names
        ])  # fmt: skip

    def leases(self, *names: str) -> list[Lease]:
        found = self.admit(*names)
        assert all(isinstance(one, Lease) for one in found)
        return [one for one in found if isinstance(one, Lease)]

    def endings(self, leases: Sequence[Lease]) -> list[Ending]:
        owners = {one.name: one for one in self.owners}
        return [Ending(one, owners[one.job.account], Tally(1, 0, 0), placed(one)) for one in leases]

    def events(self) -> list[str]:
        """The events on their way, as far as the servers answer."""
        return [event.body for rows in self.outbox.next().values() for event in rows]

    def back(self) -> None:
        """Start the server again, and wait until the worker has noticed."""
        self.store.servers[AWAY].start()
        self.noticed()

    def noticed(self) -> None:
        def answers() -> bool:
            (reply,) = self.scripts.commands_each([("GET", "{1}")])
            return not isinstance(reply, Exception)

        wait_until(answers, "the server is used again")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with several_servers(3, others_on=0) as store:
        yield Bench(store)


def test_jobs_of_a_lost_server_come_later(bench: Bench) -> None:
    """The others get their leases at once; given again, the put off one is admitted like a new one."""
    bench.store.servers[AWAY].kill()
    first, put_off, last = bench.admit("0-a", "1-a", "2-a")
    assert isinstance(first, Lease) and isinstance(last, Lease)
    assert isinstance(put_off, Later) and put_off.account_waits and bench.ledger.is_apart(put_off.cause)
    bench.back()
    (again,) = bench.leases("1-a")
    assert (again.fence, again.tally.perhaps_rung) == (1, 0)


def test_a_lease_whose_reply_was_lost_with_the_server_is_given_again(bench: Bench) -> None:
    """A frozen server runs what it was sent once it goes on: the same job, given again, gets that very lease."""
    bench.store.servers[AWAY].freeze()
    _, put_off = bench.admit("0-a", "1-a")
    assert isinstance(put_off, Later)
    bench.store.servers[AWAY].thaw()
    bench.noticed()
    (lease,) = bench.leases("1-a")
    assert (lease.fence, lease.tally.perhaps_rung) == (1, 0)


def test_decisions_of_a_lost_server_are_given_again(bench: Bench) -> None:
    """Those of the others are on record, and so is it in the end: once."""
    leases = bench.leases("0-a", "1-a", "2-a")
    bench.store.servers[AWAY].kill()
    done = bench.ledger.record(bench.endings(leases))
    assert done == [Recorded.DONE, Recorded.LATER, Recorded.DONE]
    assert len(bench.events()) == 2
    bench.back()
    assert bench.ledger.record(bench.endings(leases)) == [Recorded.DONE] * 3
    assert len(bench.events()) == 3


def test_waiting_jobs_of_the_other_servers_are_leased(bench: Bench) -> None:
    """The jobs that the lost server may have leased are regained once it is back: each is leased once."""
    assert all(isinstance(one, Parked) for one in bench.admit("0-a", "1-a", "1-b", "2-a", may_dial=False))
    bench.store.servers[AWAY].freeze()
    assert sorted(one.job.id for one in bench.ledger.lease_due(9).leases) == ["0-a", "2-a"]
    assert bench.ledger.lease_due(9).leases == []
    bench.store.servers[AWAY].thaw()
    bench.noticed()
    regained = bench.ledger.lease_due(9).leases
    assert sorted(one.job.id for one in regained) == ["1-a", "1-b"] and {one.fence for one in regained} == {1}
    assert bench.ledger.lease_due(9).leases == []


def test_no_more_is_leased_than_there_is_room_for(bench: Bench) -> None:
    """However the places are divided among the servers, all waiting jobs get theirs in the end."""
    names = [f"{server}-{n}" for server in range(3) for n in range(4)]
    bench.admit(*names, may_dial=False)
    found = list[str]()
    while len(found) < len(names):
        leases, wait_seconds = bench.ledger.lease_due(2)
        assert len(leases) <= 2 and (leases or wait_seconds < 1)
        found += [one.job.id for one in leases]
    assert sorted(found) == names


def test_leases_of_the_other_servers_are_extended_and_reclaimed(bench: Bench) -> None:
    """What cannot be reached is left as it is, and stops nothing."""
    leases = bench.leases("0-a", "1-a", "2-a")
    bench.store.servers[AWAY].kill()
    bench.ledger.extend(leases)
    assert bench.ledger.reclaim(9) == []
    with pytest.raises(StoreUnavailable):
        bench.ledger.renew(leases[AWAY], bench.away, Tally())
    assert isinstance(bench.ledger.renew(leases[0], bench.owners[0], Tally()), Lease)


def test_cancels_and_notices_of_a_lost_server_come_later(bench: Bench) -> None:
    """A cancel whose job is on another server takes it back at once."""
    bench.admit("0-a", "1-a", may_dial=False)
    told = [conflict(f"{n}-a", one.name, Foreign(), "", b"") for n, one in enumerate(bench.owners)]
    bench.store.servers[AWAY].kill()
    canceling = Canceling(bench.ledger, accounts(*bench.owners))
    taken, put_off, unknown = canceling.take_back([Cancel("0-a"), Cancel("1-a"), Cancel("0-b")])
    assert isinstance(taken, Withdrawn) and isinstance(put_off, Later) and isinstance(unknown, Noted)
    assert [bool(one) for one in bench.ledger.tell(told)] == [False, True, False]
    bench.back()
    assert isinstance(canceling.take_back([Cancel("1-a")])[0], Withdrawn)


def test_a_lost_server_of_claims_puts_off_single_jobs(bench: Bench) -> None:
    """The id of a job may be claimed on another server than its account lives on; other jobs of the account go on."""
    bench.store.servers[0].kill()
    (put_off,) = bench.admit("1-a")
    assert isinstance(put_off, Later) and not put_off.account_waits


def test_a_job_that_is_refused_raises_where_its_server_is_lost(bench: Bench) -> None:
    """Whoever asks for one job decides what waits."""
    bench.store.servers[AWAY].kill()
    with pytest.raises(StoreUnavailable) as raised:
        bench.ledger.reject("1-a", bench.away.name, bench.away, rejection("1-a", bench.away.name), "{}")
    assert bench.ledger.is_apart(raised.value)
    other = bench.owners[0]
    assert bench.ledger.reject("0-a", other.name, other, rejection("0-a", other.name), "{}") is None


def test_limits_of_the_other_servers_are_declared(bench: Bench) -> None:
    """The error says that some are left, and the accounts after these have theirs already."""
    bench.ledger.announce("digest", accounts(*bench.owners))
    bench.store.servers[AWAY].kill()
    with pytest.raises(StoreUnavailable):
        bench.ledger.declare(bench.owners)
    for number in (0, 2):
        assert bench.store.clients[number].keys("*limit:*")


def test_without_any_server_the_store_is_unavailable(bench: Bench) -> None:
    """Then nothing is said of single jobs, as with a store on one server."""
    for server in bench.store.servers:
        server.kill()

    def raises() -> bool:
        try:
            bench.admit("0-a", "1-a")
        except StoreUnavailable as error:
            return not bench.ledger.is_apart(error)
        return False

    wait_until(raises, "the whole store counts as unavailable")
    with pytest.raises(StoreUnavailable):
        bench.ledger.lease_due(9)


def test_webhooks_of_a_lost_server_wait(bench: Bench) -> None:
    """Deliveries of the others are taken and concluded; the conclusion of a lost one is given again."""
    leases = bench.leases("0-a", "1-a", "2-a")
    bench.ledger.record(bench.endings(leases))
    store = RedisDeliveries(bench.scripts, attempt_seconds=1.0)
    deliveries = store.take(9)
    assert sorted(one.job_id for one in deliveries) == ["0-a", "1-a", "2-a"]
    bench.store.servers[AWAY].kill()
    conclusions = [Conclusion(one, Verdict.DELIVERED, "200", Health.GOOD, attempt=GOOD) for one in deliveries]
    effects = dict(zip((one.job_id for one in deliveries), store.record(conclusions), strict=True))
    assert isinstance(effects["1-a"], StoreUnavailable)
    assert all(isinstance(effects[name], Effect) for name in ("0-a", "2-a"))
    assert store.take(9) == []
    bench.back()
    (effect,) = store.record([one for one in conclusions if one.delivery.job_id == "1-a"])
    assert isinstance(effect, Effect) and effect.recorded


def test_a_server_that_hangs_is_left_alone_until_it_answers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once. Then what is meant for it fails at once, until a thread of its own finds it again."""
    nodes, asked = bench.store.all(), list[Node]()
    send = Node.send

    def noted(node: Node, content: bytes, *rest: Any) -> Any:
        if b"ECHO" in content:
            asked.append(node)
        return send(node, content, *rest)

    monkeypatch.setattr(Node, "send", noted)
    reach = Reach(patience_seconds=PATIENCE_SECONDS)
    work = [(node, [("ECHO", "here")]) for node in nodes]
    assert reach.exchange(work) == [[b"here"]] * 3
    bench.store.servers[AWAY].freeze()
    for _ in range(3):
        first, second, third = reach.exchange(work)
        assert first == third == [b"here"] and isinstance(second, Exception)
    assert asked.count(nodes[AWAY]) == 2 and reach.answers
    bench.store.servers[AWAY].thaw()
    wait_until(lambda: reach.exchange(work) == [[b"here"]] * 3, "the server is used again")


def test_counts_of_the_other_servers_are_told(bench: Bench) -> None:
    """What cannot be read is missing, and how many shards that concerns is known."""
    leases = bench.leases("0-b", "1-b", "2-b")
    bench.ledger.record(bench.endings(leases))
    bench.admit("0-a", "1-a", "2-a", may_dial=False)
    census = Census(bench.store.clients[0], bench.store)
    patient(census._scripts)
    names = [one.name for one in bench.owners]
    hooks = [Destination(name, HOOK.key) for name in names]
    assert census.shards_away() == 0 and census.unpublished() == 3 and not list(parts.check(census))
    assert sorted(one.name for one in census.accounts(names)) == sorted(names)
    bench.store.servers[AWAY].kill()
    there = sorted({*names} - {bench.away.name})
    assert sorted(one.name for one in census.accounts(names)) == there
    assert sorted(one.account for one in census.endpoints(hooks)) == there
    assert census.shards_away() == 5 and census.unpublished() == 2 and census.dead_letters() == 0
    (finding,) = parts.check(census)
    assert finding.grade is Grade.FAIL and "5 of 16" in finding.text
    bench.store.servers[0].kill()
    assert census.dead_letters() is None
