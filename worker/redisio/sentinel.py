"""Connections to the master that Redis Sentinel names, which end when it names another one.

The refusal of an old master ends them too (`primary`), and so does a connection that breaks or gets no answer: the
others would find out one after the other, each by a wait of its own.

Where writes wait for replicas, a server is used only while most Sentinels name it: one that was cut off with a minority
of them may get a replica back before it learns that it was replaced.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections import Counter
from contextlib import suppress
from typing import Any

import structlog
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from callworker.masters import MasterConnection, MasterSSLConnection, ask
from callworker.sentinels import Named, NoMaster, Place, Sentinels
from worker.redisio.primary import Leaving

LOOK_SECONDS = 0.5
"""The pause between two questions to the Sentinels."""
IDLE_LOOKS = 20
"""Without an open connection the Sentinels are asked no more after so many looks."""
SURE_SECONDS = 2.0
"""For how long the word of most Sentinels counts. No Sentinel should have a master replaced that is gone for less."""

log = structlog.get_logger(__name__)


class _Named(Leaving):
    """Mixin for the client's connections to a master; must be the first base class."""

    sentinels: Sentinels
    place: Place
    watches_itself = False

    def __init__(self, *, by_most: bool = False, **arguments: Any) -> None:
        """`by_most` refuses whatever most Sentinels do not name."""
        self._by_most = by_most
        super().__init__(**arguments)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self._check()
        super().send_packed_command(command, check_health=check_health)

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)
        _watch_of(self.sentinels).add(self)

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            reply = super().read_response(*args, **options)
        except (ConnectionError, TimeoutError):
            self.leave()
            raise
        self._check()
        return reply

    def _check(self) -> None:
        if self._by_most:
            _watch_of(self.sentinels).check(self.place)

    def cut(self) -> None:
        """End a wait for an answer, in another thread: what waits gets an error, as if the server had ended it."""
        if (wire := getattr(self, "_sock", None)) is not None:
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)

    @property
    def is_open(self) -> bool:
        return getattr(self, "_sock", None) is not None

    @property
    def _address(self) -> tuple[Any, ...]:
        return self.sentinels.key


class SentinelConnection(_Named, MasterConnection):
    """A connection over TCP."""


class SentinelSSLConnection(_Named, MasterSSLConnection):
    """A connection over TLS."""


class _Watch:
    """Asks all Sentinels of a master who it is, while connections to it are open, and ends those to any other server.

    Unlike a subscription to `+switch-master` it does not fall silent with the one Sentinel that it would be at.
    """

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels, self._lock = sentinels, threading.Lock()
        self._connections: weakref.WeakSet[_Named] = weakref.WeakSet()
        self._running = False
        self._told: Place | None = None
        self._asking = threading.Lock()
        self._sure: tuple[Place, float] | None = None
        """What most Sentinels named last, and when they were asked (monotonic s)."""
        self._asked_at = 0.0

    def add(self, connection: _Named) -> None:
        """Watch over a connection."""
        with self._lock:
            self._tell(connection.place)
            self._connections.add(connection)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="sentinel", daemon=True).start()

    def check(self, place: Place) -> None:
        """Raise NoMaster unless most Sentinels have just named this server as a master that is not down."""
        if self._is_sure(place):
            return
        with self._asking:
            if not self._is_sure(place) and time.monotonic() - self._asked_at > LOOK_SECONDS:
                self._ask()
        if not self._is_sure(place):
            raise NoMaster(
                f"{place} is not the master for most of the Sentinels {self._sentinels}, or too few answer"
            )

    def _is_sure(self, place: Place) -> bool:
        sure = self._sure
        return sure is not None and sure[0] == place and time.monotonic() - sure[1] < SURE_SECONDS

    def _run(self) -> None:
        pause, idle = threading.Event(), 0
        while not pause.wait(LOOK_SECONDS):
            places = self._places(ends=idle >= IDLE_LOOKS)
            if places is None:
                return
            idle = 0 if places else idle + 1
            if places and (named := self._newest()):
                _end([each for each, place in places.items() if each.place == place != named.place])

    def _places(self, *, ends: bool) -> dict[_Named, Place] | None:
        """Return where the open connections lead; None if there are none and the watch `ends`."""
        with self._lock:
            found = {each: each.place for each in self._connections if each.is_open}
            if ends and not found:
                self._running = False
                return None
        return found

    def _newest(self) -> Named | None:
        """Return the newest answer. One that is older than another that was had before is none."""
        with self._asking:
            found = self._ask()
        return next((each for each in sorted(found, key=_newness) if self._sentinels.believes(each)), None)

    def _ask(self) -> list[Named]:
        """Ask all Sentinels, and note what most of them name, as soon as most have."""
        began, found = time.monotonic(), list[Named]()
        names, most = Counter[Place](), len(self._sentinels.places) // 2 + 1
        for place in self._sentinels.order():
            with suppress(RedisError, OSError):
                found.append(named := ask(self._sentinels, place))
                names[named.place] += not named.down
                if names[named.place] >= most:
                    self._sure = named.place, began
        if len(found) >= most and names[min(found, key=_newness).place] < most:
            self._sure = None
        self._asked_at = time.monotonic()
        return found

    def _tell(self, place: Place) -> None:
        if self._told not in (None, place):
            log.warning("redis.another_master", master=str(place), before=str(self._told))
        self._told = place


def _end(connections: list[_Named]) -> None:
    for each in connections:
        each.leave()
        each.cut()


def _newness(named: Named) -> int:
    return -named.epoch


_watches: dict[tuple[Any, ...], _Watch] = {}


def _watch_of(sentinels: Sentinels) -> _Watch:
    watch = _watches.get(sentinels.key)
    return watch or _watches.setdefault(sentinels.key, _Watch(sentinels))


def _after_fork() -> None:
    """A forked process has neither the threads of its parent nor, of its own, any connection."""
    _watches.clear()


os.register_at_fork(after_in_child=_after_fork)
