"""Lookups of names: each once at a time, and slow ones aside from the others."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec

import gevent
import pytest
from gevent.threadpool import ThreadPool

from worker.http import lookups
from worker.http.lookups import THREADS, THREADS_OF_SLOW, getaddrinfo

P = ParamSpec("P")
ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]


class Resolver:
    """Stands in for the operating system's: names that begin with `dead` get no answer until `over` is set."""

    def __init__(self) -> None:
        self.over, self.asked = threading.Event(), Counter[str]()

    def __call__(self, host: str, *_: object) -> list[Any]:
        self.asked[host] += 1
        if host.startswith("dead"):
            self.over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return ANSWER


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(lookups, "_lookups", lookups._Lookups())
    yield resolver
    resolver.over.set()


def in_a_loop_of_its_own(test: Callable[P, None]) -> Callable[P, None]:
    """Run the test in a thread, as the program does, where no greenlet of another test is left over."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, *args, **kwargs).result(90)

    return run


def ask(host: str) -> list[Any]:
    return getaddrinfo(host, 443, 0, socket.SOCK_STREAM)


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(30):
        while not condition():
            gevent.sleep(0.01)


@in_a_loop_of_its_own
def test_name_is_looked_up_once_for_all_who_ask_at_once(resolver: Resolver) -> None:
    """All of them get its addresses, or its error; the next one asks again."""
    dead = [gevent.spawn(ask, "dead.example") for _ in range(20)]
    good = [gevent.spawn(ask, "good.example") for _ in range(20)]
    gevent.joinall(good, timeout=30)
    assert [one.value for one in good] == [ANSWER] * 20
    resolver.over.set()
    gevent.joinall(dead, timeout=30)
    errors = [one.exception for one in dead]
    assert all(isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN for error in errors)
    assert len(set(map(id, errors))) == 20
    assert resolver.asked == {"dead.example": 1, "good.example": 1}
    ask("good.example")
    assert resolver.asked["good.example"] == 2


@in_a_loop_of_its_own
def test_caller_that_gave_up_leaves_the_lookup_to_others(resolver: Resolver) -> None:
    """A name without an answer holds one thread, however often it is asked for."""
    for _ in range(3):
        with pytest.raises(TimeoutError), gevent.Timeout(0.01, TimeoutError()):
            ask("dead.example")
    assert resolver.asked["dead.example"] == 1


@in_a_loop_of_its_own
def test_slow_names_take_no_threads_from_others(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they were found to be slow, more of them than there are threads hold up no other name."""
    monkeypatch.setattr(lookups, "SLOW_SECONDS", -1.0)
    names = [f"dead{n}.example" for n in range(THREADS + 5)]
    first = [gevent.spawn(ask, name) for name in names]
    until(lambda: len(resolver.asked) == THREADS)
    resolver.over.set()
    gevent.joinall(first, timeout=30)
    resolver.over.clear()
    second = [gevent.spawn(ask, name) for name in names]
    until(lambda: resolver.asked.total() == len(names) + THREADS_OF_SLOW)
    assert gevent.spawn(ask, "good.example").get(timeout=30) == ANSWER
    assert resolver.asked.total() == len(names) + THREADS_OF_SLOW + 1
    resolver.over.set()
    gevent.joinall(second, timeout=30)


@in_a_loop_of_its_own
def test_lookup_that_nobody_waits_for_any_more_is_not_made(resolver: Resolver) -> None:
    """A queue of names whose callers have given up is gone at once."""
    hanging = [gevent.spawn(ask, f"dead{n}.example") for n in range(THREADS)]
    until(lambda: len(resolver.asked) == THREADS)
    with pytest.raises(TimeoutError), gevent.Timeout(0.01, TimeoutError()):
        ask("late.example")
    resolver.over.set()
    gevent.joinall(hanging, timeout=30)
    assert ask("good.example") == ANSWER
    assert "late.example" not in resolver.asked


@in_a_loop_of_its_own
def test_lookup_without_a_thread_fails(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gives no more threads fails the lookup, and the name can be looked up later."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPool, "apply", refuse)
        with pytest.raises(RuntimeError), gevent.Timeout(30):
            ask("good.example")
    assert ask("good.example") == ANSWER
