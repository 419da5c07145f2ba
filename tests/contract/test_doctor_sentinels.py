"""What doctor says of Sentinels: that all is well, and each thing that would keep another master from coming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from callworker.sentinels import Place
from tests.doubles.scripted_sentinel import NAME, ScriptedSentinel
from tests.processes import wait_until
from tests.sentinels import Installation
from worker.cli.doctor import sentinels, servers
from worker.cli.doctor.finding import Finding, Grade
from worker.settings import Settings


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with ExitStack() as stack:
        yield Installation(stack, tmp_path_factory.mktemp("machines"))


def found(url: str, broker: str | None = None, replicas: int = 0) -> dict[str, Finding]:
    """Return the findings by their subject."""
    environ = {"REDIS_URL": url, "REDIS_REPLICAS": str(replicas)}
    settings = Settings.from_env(environ | ({"BROKER_URL": broker} if broker else {}))
    return {each.name: each for each in sentinels.check(settings)}


def test_losses_are_told_one_after_the_other(machines: Installation) -> None:
    """All is well; a replica is gone; one Sentinel is; two are, so that none can choose; nobody is left."""
    url = machines.url
    said = found(url)
    assert {each.grade for each in said.values()} == {Grade.OK}
    assert said["Redis Sentinels"].text == "3 of 3 answer"
    assert said["Redis master"].text.startswith(f"127.0.0.1:{machines.master().port},")
    assert said["Redis quorum"].text.startswith("2 of 3")
    assert said["Redis failover"].text.startswith("2 replicas")
    assert found(url, url).keys() == said.keys(), "the same Sentinels are not told twice"
    assert next(iter(servers.store(Settings.from_env({"REDIS_URL": url})))).grade is Grade.OK

    replica = next(each for each in machines.servers if each is not machines.master())
    replica.kill()
    wait_until(lambda: str(replica.port) in found(url)["Redis failover"].text, "the replica is missed")
    assert found(url)["Redis failover"].grade is Grade.WARN

    first, second, third = machines.sentinels
    first.stop()
    said = found(url)
    assert said["Redis Sentinels"].grade is Grade.WARN and str(first.port) in said["Redis Sentinels"].text
    second.stop()
    wait_until(
        lambda: found(url)["Redis quorum"].grade is Grade.FAIL, "the one that is left sees that it is alone"
    )
    graded = [found(url, replicas=replicas)["Redis Sentinels"] for replicas in (0, 1)]
    assert [each.grade for each in graded] == [Grade.WARN, Grade.FAIL] and "stand still" in graded[1].text
    third.stop()
    (only,) = found(url).values()
    assert only.grade is Grade.FAIL and only.text.startswith("0 of 3 answer")


def test_sentinels_that_disagree_are_told() -> None:
    """Each master is told, and by which Sentinel it is named."""
    with ScriptedSentinel(Place("10.0.0.1", 6379)) as one, ScriptedSentinel(Place("10.0.0.2", 6379)) as two:
        said = found(f"redis+sentinel://{one.place},{two.place}/{NAME}/0")["Redis master"]
    assert said.grade is Grade.FAIL
    assert f"10.0.0.1:6379 by {one.place}; 10.0.0.2:6379 by {two.place}" in said.text


def test_password_that_a_sentinel_refuses_is_told() -> None:
    """Without a word of it."""
    with ScriptedSentinel("WRONGPASS invalid username-password pair") as other:
        url = f"redis+sentinel://{other.place}/{NAME}/0?sentinel_password=hunter2"
        (said,) = found(url).values()
    assert said.grade is Grade.FAIL and "password" in said.remedy and "hunter2" not in said.text
