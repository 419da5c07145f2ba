"""Asks each of the RabbitMQ nodes that BROKER_URL names, and whether they are of one cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from amqp.exceptions import NotFound, ResourceLocked

from worker.broker.connection import Link, Timeouts, broker_errors
from worker.broker.queues import listener
from worker.cli.doctor.finding import Finding
from worker.errors import BrokerRefused, BrokerUnavailable
from worker.network.remedies import remedy_of
from worker.privacy.addresses import mask_url
from worker.privacy.redaction import redactor

NAME = "broker nodes"
ONE = "one address; if the broker is a cluster, name all of its nodes in BROKER_URL, with ; between them"
"""AMQP does not tell whether there are more nodes."""
TIMEOUTS = Timeouts(connect_seconds=2.0, answer_seconds=5.0)
LOOK_SECONDS, LOOKS = 0.2, 5
"""A queue may be known to the other nodes a moment later."""


def check(url: str) -> Iterator[Finding]:
    """Yield what is wrong with each of several addresses, or that all are of one cluster."""
    urls = [each.strip() for each in url.split(";")]
    if len(urls) == 1:
        yield Finding.ok(NAME, ONE)
        return
    with ExitStack() as exits:
        reached: dict[str, Link] = {}
        for each in urls:
            try:
                reached[mask_url(each)] = link = Link(each, [], timeouts=TIMEOUTS)
                exits.callback(link.abandon)
            except BrokerUnavailable as error:
                yield _absent(mask_url(each), error)
        yield from _together(reached, len(urls))


def _absent(place: str, error: BrokerUnavailable) -> Finding:
    """A node that is away is made up for by the others, until one of them is away too. One that refuses never helps."""
    grade = Finding.fail if isinstance(error, BrokerRefused) else Finding.warn
    return grade(NAME, f"{place}: {redactor.text(str(error))}", remedy_of(error, "BROKER_URL"))


def _together(reached: dict[str, Link], named: int) -> Iterator[Finding]:
    strangers = _strangers(list(reached.values()))
    if strangers:
        places = ", ".join(place for place, link in reached.items() if link in strangers)
        text = (
            f"of another cluster than {next(iter(reached))}: {places}; a job that is sent there waits in vain"
        )
        yield Finding.fail(NAME, text, "name in BROKER_URL the nodes of one cluster")
    elif len(reached) > 1:
        known = "all" if len(reached) == named else f"{len(reached)} of {named}"
        yield Finding.ok(NAME, f"{known} answer" + (", of one cluster" if strangers is not None else ""))


def _strangers(links: Sequence[Link]) -> list[Link] | None:
    """Return the links that lead to another cluster than the first. None if this user may not find out.

    AMQP tells neither the nodes of a cluster nor a name that all of them have. But a node refuses a look at a queue
    that belongs to a connection of any node of its cluster, and another cluster does not have that queue.
    """
    if len(links) < 2:
        return []
    first, *others = links
    own = listener()
    try:
        with broker_errors("a queue cannot be made"):
            own(first.channel).queue_declare()
        return [link for link in others if not _has(link, own.name)]
    except BrokerUnavailable:
        return None


def _has(link: Link, queue: str) -> bool:
    for _ in range(LOOKS):
        with broker_errors("the broker does not tell its queues"), link.connection.channel() as channel:
            try:
                channel.queue_declare(queue, passive=True)
            except ResourceLocked:
                return True
            except NotFound:
                time.sleep(LOOK_SECONDS)
    return False
