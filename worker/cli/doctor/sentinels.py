"""Says whether the Sentinels of an address answer, agree about the master, and could choose another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.broker.address import broker_url, broker_variable, redis_url
from worker.cli.doctor.finding import Finding
from worker.network.remedies import remedy_of
from worker.privacy.redaction import redactor
from worker.redisio.sentinel_facts import Seen, look, same_master
from worker.settings import Settings

ENOUGH = 3
"""With fewer Sentinels the loss of one leaves none, or one alone, which chooses no master."""


def check(settings: Settings) -> Iterator[Finding]:
    """Yield what the Sentinels of store and broker say; nothing where an address names none."""
    if settings.redis_url is not None:
        yield from _of("Redis", redis_url(settings), "REDIS_URL", settings.redis_replicas)
    if settings.broker_url is not None and ";" not in settings.broker_url:
        url, variable = broker_url(settings), broker_variable(settings)
        yield from _of("broker", url, variable, settings.redis_replicas, settings.redis_url)


def _of(
    subject: str, url: str, variable: str, replicas: int, checked: str | None = None
) -> Iterator[Finding]:
    if "+sentinel" not in url.partition("://")[0].lower():
        return
    try:
        if checked is not None and same_master(url, checked):
            return
        seen = look(url)
    except ValueError:
        # The check of the server has reported this.
        return
    answer = [each for each in seen if each.problem is None]
    yield _reached(subject, seen, variable, replicas)
    if answer:
        yield _agreed(subject, answer)
        yield _quorum(subject, answer)
        yield from _replicas(subject, answer)


def _reached(subject: str, seen: Sequence[Seen], variable: str, replicas: int) -> Finding:
    name, silent = f"{subject} Sentinels", [each for each in seen if each.problem is not None]
    if not silent:
        return Finding.ok(name, f"{len(seen)} of {len(seen)} answer")
    told = "; ".join(f"{each.place} {each.problem}" for each in silent)
    answering = len(seen) - len(silent)
    stops = answering == 0 or (replicas > 0 and answering <= len(seen) // 2)
    text = f"{answering} of {len(seen)} answer; not {redactor.text(told)}"
    if stops and answering:
        text += "; with REDIS_REPLICAS, workers stand still until most of them answer"
    remedy = remedy_of(silent[0].problem or OSError(), variable)
    return (Finding.fail if stops else Finding.warn)(name, text, remedy)


def _agreed(subject: str, seen: Sequence[Seen]) -> Finding:
    name = f"{subject} master"
    by_master = {each.master: [other.place for other in seen if other.master == each.master] for each in seen}
    if len(by_master) > 1:
        told = "; ".join(f"{master} by {', '.join(places)}" for master, places in by_master.items())
        remedy = "if this lasts, a Sentinel is cut off from the others: look at its log"
        return Finding.fail(name, f"Sentinels name different ones: {told}", remedy)
    doubting = [each.place for each in seen if each.down]
    if doubting:
        text = f"{seen[0].master}, which seems to be down to {', '.join(doubting)}"
        return Finding.warn(name, text, "start it, or wait for the failover")
    return Finding.ok(name, f"{seen[0].master}, as all Sentinels that answer say")


def _quorum(subject: str, seen: Sequence[Seen]) -> Finding:
    name = f"{subject} quorum"
    lost = next((each for each in seen if each.no_quorum), None)
    if lost is not None:
        text = f"{lost.place} cannot choose another master: {lost.no_quorum}"
        return Finding.fail(name, text, "start the Sentinels that are missing, or connect them")
    sentinels, quorum = min(each.sentinels for each in seen), max(each.quorum for each in seen)
    text = f"{quorum} of {sentinels} have to agree that the master is down"
    if sentinels < ENOUGH:
        return Finding.warn(
            name, text, "run three Sentinels, one beside each Redis: see docs/how-to/failover.md"
        )
    return Finding.ok(name, text)


def _replicas(subject: str, seen: Sequence[Seen]) -> Iterator[Finding]:
    name, most = f"{subject} failover", max(seen, key=lambda each: each.replicas)
    down = sorted({place for each in seen for place in each.replicas_down})
    if not most.replicas:
        yield Finding.fail(name, "no replica could take over", "start a replica of the master")
    elif down:
        text = f"{most.replicas} replicas, of which {', '.join(down)} cannot take over"
        yield Finding.warn(name, text, "start it; if it is gone for good, `SENTINEL RESET` forgets it")
    else:
        yield Finding.ok(name, f"{most.replicas} replicas could take over")
