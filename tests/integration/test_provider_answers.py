"""What the provider asks of the worker: to wait, to go elsewhere, to leave an account alone for now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from tests.integration.outside import Outside, new_job
from tests.integration.stack import Stack, Worker, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.processes import wait_until
from tests.redis_server import RedisServer

FAST = {"rate": "200/s", "burst": 100}
AT_MOST_LATE_SECONDS = 15.0
"""For machines that do other things as well; a wait of another unit is longer."""

ACCOUNTS: dict[str, dict[str, Any]] = dict.fromkeys(("acme", "poor", "locked", "well"), FAST)


@dataclass
class Moods:
    """The provider's mind: which keys it refuses with which code, which numbers get which replies first."""

    refused: dict[str, str] = field(default_factory=dict)
    first: dict[str, Reply | Callable[[Asked], Reply]] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Reply:
        if code := self.refused.get(asked.form["key"]):
            return refuses(code, "Plus de crédit &nbsp; & rien \x02")
        reply = self.first.get(asked.phone) if asked.turn == 1 else None
        return (reply(asked) if callable(reply) else reply) or gives_ref()


@dataclass(frozen=True)
class Scene:
    """A worker, and a provider whose moods the tests set."""

    provider: StandIn
    moods: Moods
    outside: Outside
    worker: Worker


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Scene]:
    folder, url, moods = tmp_path_factory.mktemp("stack"), own_redis.url, Moods()
    with StandIn(moods) as provider, Stack(folder, url, url, provider.url, ACCOUNTS) as stack:
        yield Scene(provider, moods, stack.outside, stack.start("run"))


def date_after(asked: Asked) -> int:
    """The Unix time to which a request is put off: three to four seconds after it came."""
    return int(asked.unix) + 4


def test_retry_after_is_honoured_in_both_forms(scene: Scene) -> None:
    """After a 429 or 503 that says when, by seconds or by a date, the next request comes then and not sooner."""
    wishes: dict[str, Reply | Callable[[Asked], Reply]] = {
        "seconds-429": Reply("", 429, {"Retry-After": "2"}),
        "seconds-503": Reply("", 503, {"Retry-After": "3"}),
        "date-503": lambda asked: Reply("", 503, {"Retry-After": formatdate(date_after(asked), usegmt=True)}),
    }
    jobs = {name: new_job(name) for name in wishes}
    scene.moods.first |= {jobs[name]["phone"]: reply for name, reply in wishes.items()}
    scene.outside.send(*jobs.values())
    events = scene.outside.wait(wishes)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    asked = {name: scene.provider.requests(job["phone"]) for name, job in jobs.items()}
    assert [len(requests) for requests in asked.values()] == [2, 2, 2]
    assert 2 <= asked["seconds-429"][1].unix - asked["seconds-429"][0].unix < 2 + AT_MOST_LATE_SECONDS
    assert 3 <= asked["seconds-503"][1].unix - asked["seconds-503"][0].unix < 3 + AT_MOST_LATE_SECONDS
    until = date_after(asked["date-503"][0])
    assert until - 0.1 <= asked["date-503"][1].unix < until + AT_MOST_LATE_SECONDS


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_never_followed(scene: Scene, status: int) -> None:
    """A redirect ends the job after one request, and nobody is asked at the new place."""
    job = new_job(f"redirect-{status}")
    scene.moods.first[job["phone"]] = Reply("", status, {"Location": f"{scene.provider.url}/elsewhere"})
    scene.outside.send(job)
    event = scene.outside.wait([job["id"]])[job["id"]]
    assert (event["type"], event["data"]["error"]["code"]) == ("call.failed", "PROVIDER_UNAVAILABLE")
    assert event["data"]["attempts"] == 1 and len(scene.provider.requests(job["phone"])) == 1
    assert "/elsewhere" not in {asked.path for asked in scene.provider.asked}


def is_held(scene: Scene, account: str, code: str) -> bool:
    return scene.worker.metric("account_held", account=account, reason=code) == 1


def test_refused_accounts_are_held_and_resume_by_themselves(scene: Scene) -> None:
    """NO_POINTS and INVALID_KEY hold the account, not the job: no more requests, no event, until it is well again.

    That XML does not allow what the message holds changes nothing; ten jobs once made twenty requests of it (A3).
    """
    ill = {"poor": "NO_POINTS", "locked": "INVALID_KEY"}
    scene.moods.refused |= {api_key(account): code for account, code in ill.items()}
    first = {account: new_job(f"{account}-first", account) for account in ill}
    scene.outside.send(*first.values())
    wait_until(lambda: all(is_held(scene, *pair) for pair in ill.items()), "both accounts are held")
    more = [new_job(f"{account}-{n}", account) for account in ill for n in range(10)]
    others = [new_job(f"well-{n}", "well") for n in range(10)]
    scene.outside.send(*more, *others)
    scene.outside.wait(job["id"] for job in others)
    assert set(scene.provider.rung(*(job["phone"] for job in more))) == {0}
    assert not [job["id"] for job in (*first.values(), *more) if job["id"] in scene.outside.delivered]
    scene.moods.refused.clear()
    everyone = [*first.values(), *more]
    events = scene.outside.wait(job["id"] for job in everyone)
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert set(scene.provider.rung(*(job["phone"] for job in more))) == {1}
    wait_until(lambda: not any(is_held(scene, *pair) for pair in ill.items()), "no account is held")


UNUSUAL = {
    "xml": Reply("<response><ref>97A677DD3E0A42B8EA58D93D05BAC89F</ref><note>é & \x01</note></response>"),
    "json": Reply(
        '{"response": {"ref": "97A677DD3E0A42B8EA58D93D05BAC89F", "note": "a\nb",}, "failed": false}'
    ),
    "coding": Reply(gives_ref().body, headers={"Content-Encoding": "utf-8"}),
    "length": Reply(gives_ref().body, headers={"Content-Length": str(len(gives_ref().body))}),
    "ref": Reply("<response><ref>97a6-77dd</ref></response>"),
    "name": Reply('{"response": {"reference": "97a6-77dd"}}'),
}


def test_unusual_answers_are_understood(scene: Scene) -> None:
    """Each of them is a placed call: the phone rings once, and the event has the original ref (A3, A4, A5, A6, A7)."""
    jobs = {name: new_job(f"unusual-{name}") for name in UNUSUAL}
    scene.moods.first |= {job["phone"]: UNUSUAL[name] for name, job in jobs.items()}
    scene.outside.send(*jobs.values())
    events = scene.outside.wait(job["id"] for job in jobs.values())
    assert {event["type"] for event in events.values()} == {"call.placed"}
    assert scene.provider.rung(*(job["phone"] for job in jobs.values())) == [1] * len(jobs)
    assert (
        events[jobs["ref"]["id"]]["data"]["ref"] == events[jobs["name"]["id"]]["data"]["ref"] == "97a6-77dd"
    )
    assert scene.worker.metric("provider_oddities_total", account="acme", oddity="ref") == 2
