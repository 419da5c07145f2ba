"""PINs, whole numbers, keys and secrets: looked for in everything that workers print, publish, count and keep."""

from __future__ import annotations

import base64
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest

from tests.integration.outside import Job, Outside, in_seconds, new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack, Worker, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.processes import wait_until
from tests.redis_server import RedisServer

PIN, BAD_PIN = "86753", "867530"
SECRET = "whsec_" + base64.b64encode(b"nobody may see this one, ever").decode()
KEY = api_key("acme")
NUMBER = "91755512{:02}"
HOW_MANY, MOST_MORE = 14, 50
LEAKS = {
    "PIN": re.compile(rf"(?<![0-9A-Za-z.-]){PIN}0?(?![0-9A-Za-z])"),
    "number": re.compile(r"91755512\d\d"),
    "API key": re.compile(KEY, re.IGNORECASE),
    "secret": re.compile(re.escape(SECRET.removeprefix("whsec_"))),
}


def telltale(asked: Asked) -> Reply:
    """A provider that repeats everything it was told, in each place that a worker might repeat in its turn."""
    told = f"{asked.form['phone']} {asked.form['code']} {asked.form['key']} code={asked.form['code']}"
    gossip: dict[str, Reply] = {
        "01": refuses("INVALID_TELEPHONE", told),
        "02": refuses("NEVER_HEARD_OF", told),
        "03": Reply(f"<html>{told}</html>"),
        "04": Reply(told, 500),
        "05": Reply(
            "", 302, {"Location": f"http://127.0.0.1:1/?key={KEY}&code={PIN}&phone={asked.form['phone']}"}
        ),
        "06": Reply(told, 503, {"Retry-After": PIN}),
        "07": Reply("<response><ref>" + told),
        "08": refuses(f"CODE_{PIN}", told),
        "09": Reply(f"<!DOCTYPE x [<!ENTITY a '{told}'>]><response><ref>&a;</ref></response>"),
        "10": Reply(f"<response><ref>{told}</ref></response>"),
    }
    return gossip.get(asked.phone[-2:], gives_ref())


def good_jobs() -> list[Job]:
    return [
        new_job(f"leak-{n}", phone=NUMBER.format(n), code=PIN, ext="12", expires_at=in_seconds(6))
        for n in range(HOW_MANY)
    ]


def bad_jobs() -> list[Job]:
    phone = NUMBER.format(50)
    wrong: list[Job] = [
        {"code": BAD_PIN, "phone": phone},
        {"code": PIN, "phone": f"+{phone}"},
        {"code": [PIN], "phone": {"number": phone}},
        {"code": PIN, "phone": phone, "ext": f"{phone}#"},
        {"code": PIN, "phone": phone, "message": f"say {PIN}"},
        {"code": PIN, "phone": phone, "expires_at": PIN},
        {"code": PIN, "phone": phone, "country": phone},
        {"code": PIN, "phone": phone, "pin": PIN, "number": phone},
        {"code": PIN, "phone": phone, "account": "nobody"},
    ]
    return [new_job(f"leak-bad-{n}") | job for n, job in enumerate(wrong)]


def bury_some(outside: Outside) -> int:
    """Messages that nobody can answer, each with a PIN and a number in it; how many."""
    job = new_job("leak-broken", phone=NUMBER.format(60), code=PIN)
    nameless = {name: value for name, value in job.items() if name != "account"}
    headers = {"task": "calls.verify", "id": "x", "kwargsrepr": repr(job), "argsrepr": repr([job])}
    outside.publish("calls", pickle.dumps([[], job, {}]), "application/x-python-serialize", **headers)
    outside.publish("calls", json.dumps([[], nameless, {}]), "application/json", **headers)
    outside.publish("calls", json.dumps([[job], {}, {}]), "application/json", **headers)
    outside.publish(
        "calls", json.dumps([[], job, {}]), "application/json", **(headers | {"task": "calls.other"})
    )
    outside.stream(nameless)
    outside.redis.xadd("calls.intake", {"job": json.dumps(job)[:-1]})
    outside.redis.xadd("calls.intake", {"job": f"phone={job['phone']}&code={PIN}"})
    return 7


@dataclass(frozen=True)
class Scene:
    """Two workers that tell all they can, one in each log format, with everything ended."""

    workers: list[Worker]
    outside: Outside
    receiver: Receiver


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Scene]:
    folder, url = tmp_path_factory.mktemp("stack"), own_redis.url
    # Every other hook fails: fewer would show less, and more would open the endpoint's breaker.
    statuses = cycle((500, 200))
    with Receiver(lambda _: next(statuses)) as receiver, StandIn(telltale) as provider:
        hook = local_hook(f"{receiver.url}/leaks", secret_env="HOOK")
        accounts = {"acme": {"rate": "200/s", "burst": 100, "webhooks": [hook]}}
        with Stack(folder, url, url, provider.url, accounts, HOOK=SECRET, LOG_LEVEL="DEBUG") as stack:
            workers = [stack.start("celery", LOG_FORMAT="json"), stack.start("run", LOG_FORMAT="console")]
            jobs = [*good_jobs(), *bad_jobs()]
            stack.outside.send(*jobs[::2])
            stack.outside.stream(*jobs[1::2])
            stack.outside.wait_for_dead_letters(bury_some(stack.outside))
            stack.outside.wait(job["id"] for job in jobs)
            let_both_see_some(workers, stack.outside)
            wait_until(lambda: len(receiver.hooks) >= len(jobs) - 1, "the hooks went out")
            yield Scene(workers, stack.outside, receiver)


def let_both_see_some(workers: list[Worker], outside: Outside) -> None:
    """Send more jobs while one of the workers has seen none: the other may be quicker."""
    for n in range(MOST_MORE):
        if all("leak-" in worker.output for worker in workers):
            return
        more = [new_job(f"leak-{way}-{n}", phone=NUMBER.format(70), code=PIN) for way in ("list", "stream")]
        outside.send(more[0])
        outside.stream(more[1])
        outside.wait(job["id"] for job in more)


def leaks(text: str) -> dict[str, list[str]]:
    """Return the texts that must not be there, each with its place."""
    found = {
        name: [text[max(hit.start() - 80, 0) : hit.end() + 20] for hit in pattern.finditer(text)]
        for name, pattern in LEAKS.items()
    }
    return {name: places[:3] for name, places in found.items() if places}


def kept(outside: Outside) -> Iterator[str]:
    """Everything in Redis, keys and values, as text; a key that runs out between the look and the reading is gone."""
    readers: dict[str, Any] = {
        "none": lambda key: None,
        "string": outside.redis.get,
        "hash": outside.redis.hgetall,
        "list": lambda key: outside.redis.lrange(key, 0, -1),
        "zset": lambda key: outside.redis.zrange(key, 0, -1),
        "set": outside.redis.smembers,
        "stream": outside.redis.xrange,
    }
    for key in outside.redis.scan_iter():
        kind: Any = outside.redis.type(key)
        yield f"{key.decode()} {readers[kind.decode()](key)}"


def test_search_finds_what_it_looks_for() -> None:
    """The patterns would find each of the four."""
    told = f"code={PIN} phone={NUMBER.format(7)} key={KEY} {SECRET}"
    assert set(leaks(told)) == set(LEAKS)


def test_every_ending_was_seen(scene: Scene) -> None:
    """The jobs that are searched for took every way through a worker."""
    types = {scene.outside.event(job_id)["type"] for job_id in scene.outside.delivered}
    assert types == {"call.placed", "call.failed", "call.unknown", "call.expired", "call.rejected"}


def test_output_of_workers_is_clean(scene: Scene) -> None:
    """No line that a worker wrote has any of them, at LOG_LEVEL=DEBUG and in both formats."""
    outputs = [worker.output for worker in scene.workers]
    assert all("leak-" in output for output in outputs)
    assert [leaks(output) for output in outputs] == [{}, {}]


def test_events_and_hooks_are_clean(scene: Scene) -> None:
    """No event, webhook body or header has any of them, even if the provider repeated them."""
    delivered = [one for several in scene.outside.delivered.values() for one in several]
    told = [one.body.decode() + one.routing_key for one in delivered]
    told += [hook.body.decode() + repr(dict(hook.headers)) for hook in scene.receiver.hooks]
    assert [found for text in told if (found := leaks(text))] == []


def test_metrics_are_clean(scene: Scene) -> None:
    """The pages of a worker show none of the four either."""
    pages = [worker.get(path)[1] for worker in scene.workers for path in ("/metrics", "/livez", "/readyz")]
    assert [found for page in pages if (found := leaks(page))] == []


def test_redis_forgets_them_with_the_job(scene: Scene) -> None:
    """No key or value in Redis, dead letters included, has any of them once every job has ended."""
    assert len(scene.outside.dead_letters()) == 7
    assert [found for text in kept(scene.outside) if (found := leaks(text))] == []
