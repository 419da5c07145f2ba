"""Runs Lua scripts: many in one round trip, loaded when Redis does not know them yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import redis
from redis.exceptions import NoScriptError, ResponseError

from worker.errors import StoreJustBack, StoreSetBack, StoreUnavailable, WrongKey
from worker.redisio.kept import Kept
from worker.redisio.node import Command
from worker.redisio.nodes import Nodes, OneNode
from worker.redisio.texts import ScriptCall, Texts
from worker.redisio.translation import translated
from worker.redisio.trips import Trips
from worker.redisio.turns import Turns
from worker.redisio.wrong_keys import WrongKeys, wrong_key


class Scripts:
    """Runs scripts on a store; `text_of` returns the text of a script by its name. Thread-safe.

    Each script is atomic, those of one method are not. All go out before the first reply is read, also to several
    servers. Errors are StoreUnavailable, WrongKey or, where the fault is ours, StoreFault. After StoreUnavailable the
    script may have run. Of several servers, one that is away does not hold up the others, see `Reach`.
    """

    def __init__(
        self,
        client: redis.Redis,
        text_of: Callable[[str], str],
        nodes: Nodes | None = None,
        turns: Turns | None = None,
        *,
        dialling: Collection[str] = (),
        spread: Collection[str] = (),
    ) -> None:
        """`turns` notices a shard that went back in time, and then refuses what concerns it. `dialling` are the scripts
        after which jobs may be dialled. `spread` are those of which a cluster gets the first key as such and the others
        as arguments."""
        self._dialling = dialling
        self._trips, self._texts, self._turns = Trips(nodes or OneNode(client)), Texts(text_of, spread), turns
        # What follows on one server asks for its file later; on several that is another one.
        self._kept_by_commands = Kept.FILE if self.several else Kept.REPLICAS
        self._wrong_keys = WrongKeys()

    @property
    def several(self) -> bool:
        """Whether the store has several servers."""
        return self._trips.several

    def is_apart(self, error: Exception) -> bool:
        """Tell whether an error is that of a part of the store, while others answer."""
        if isinstance(error, StoreSetBack | StoreJustBack):
            return True
        reach = self._trips.reach
        return isinstance(error, StoreUnavailable) and reach is not None and reach.answers

    def clock_of(self, shard: str) -> str:
        """Name the clock by which a shard's scripts tell the time: another one, if another server has the shard."""
        return f"{shard} {id(self._trips.server_of(shard))}" if self.several else ""

    @property
    def _is_whole(self) -> bool:
        """Whether the store has one server, which has all shards, and none of them is left alone for now."""
        return self._trips.reach is None and (self._turns is None or self._turns.all_in_use)

    def run(self, call: ScriptCall) -> Any:
        """Run one script and return its reply, see `run_all`."""
        return self.run_all([call])[0]

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts in one round trip and return their replies. Without calls nothing is sent.

        Returns once Redis' file and enough replicas have what they wrote, so that neither a Redis that is killed nor a
        failover forgets it. Raises the first error.
        """
        return _all_good(self.run_each(calls))

    def run_each(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts like `run_all`; return for each call its reply, or the error that it met."""
        return self._run(calls, Kept.FILE)

    def run_parts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts like `run_all`, but return the errors of parts of the store, see `is_apart`."""
        return self.run_all(calls) if self._is_whole else self._parts(self.run_each(calls))

    def read_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts that only read, like `run_all`, but without waiting for file and replicas."""
        return _all_good(self._run(calls, Kept.NOT))

    def read_parts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts that only read, like `run_parts`, but without waiting for Redis' file."""
        return self.read_all(calls) if self._is_whole else self._parts(self._run(calls, Kept.NOT))

    def look_each(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands that need not be kept; return for each its reply, or the error that it met.

        A command without a key goes to the server of the one before it.
        """
        return self._commands(commands, Kept.NOT)

    def look_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands like `look_each`. Raises the first error."""
        return _all_good(self.look_each(commands))

    def look_and_learn(
        self, commands: Sequence[Command], beside: Callable[[list[Any]], Sequence[Any]]
    ) -> list[Any]:
        """Run commands like `look_all`, but return like `run_all`.

        `beside` returns from the replies what a script tells beside its own reply, see `Turns.learn`. Raises
        StoreSetBack if a shard went back in time, or is left alone already.
        """
        turns = self._turns
        if turns and turns.left_alone:
            raise StoreSetBack(min(turns.left_alone))
        known = turns.known if turns else {}
        replies = _all_good(self._commands(commands, Kept.FILE))
        if turns and (set_back := turns.learn(known, beside(replies))):
            raise set_back
        return replies

    def _commands(self, commands: Sequence[Command], kept: Kept) -> list[Any]:
        keys = list[str]()
        for words in commands:
            keys.append(str(words[1]) if len(words) > 1 else keys[-1])
        return self._checked(self._trips.follow(keys, dict(enumerate(commands)), kept), keys)

    def groups(self, keys: Sequence[str]) -> list[list[str]]:
        """Divide `keys`, in their order, into those that can go into one call: those of one server.

        For a while after a server refused such a call, because some of its keys are on their way to another one, its
        keys are apart, so that only these wait. So is a key whose server cannot be learned, and one that is left alone.
        """
        if self._is_whole:
            return [[*keys]]
        found: dict[object, list[str]] = {}
        for key in keys:
            found.setdefault(self._group_of(key), []).append(key)
        return list(found.values())

    def _group_of(self, key: str) -> object:
        return key if self._turns and key in self._turns.left_alone else self._trips.group_of(key)

    def run_commands(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands without a script, like `run_all`. One server does not wait for its file: what follows does.

        The second word of each command is its key.
        """
        return _all_good(self.commands_each(commands))

    def commands_each(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands like `run_commands`; return for each its reply, or the error that it met."""
        return self._commands(commands, self._kept_by_commands)

    def commands_parts(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands like `run_commands`, but return the errors of parts of the store."""
        return self.run_commands(commands) if self._is_whole else self._parts(self.commands_each(commands))

    def _parts(self, replies: list[Any]) -> list[Any]:
        """Return the replies. Raises the first error that is not that of a part."""
        _all_good(
            [reply for reply in replies if not isinstance(reply, Exception) or not self.is_apart(reply)]
        )
        return replies

    def _run(self, calls: Sequence[ScriptCall], kept: Kept) -> list[Any]:
        """Return for each call its reply or its error. Sends the text of scripts that a server does not know."""
        if not calls:
            return []
        keys = [call.first_key for call in calls]
        refused = self._refused(calls)
        commands = {n: self._texts.command(call) for n, call in enumerate(calls) if n not in refused}
        known = self._turns.known if self._turns else {}
        replies = refused | self._trips.follow(keys, commands, kept)
        unknown = [n for n, reply in replies.items() if isinstance(reply, NoScriptError)]
        if unknown:
            spelled = partial(self._texts.spelled_out, calls=calls)
            replies |= self._trips.send(keys, {n: commands[n] for n in unknown}, kept, spelled)
        for n, call in enumerate(calls):
            if self._texts.is_spread(call) and isinstance(replies[n], ResponseError):
                self._trips.keep_apart(keys[n], replies[n])
        checked = self._checked(replies, keys)
        for word in (word for reply in checked for word in _beside(reply)):
            if (found := wrong_key(word)) is not None:
                self._wrong_keys.tell(found)
        if self._turns is not None:
            # Those that were refused may be in use again by now.
            sent = [reply for n, reply in enumerate(checked) if n not in refused]
            self._turns.leave_alone(*(reply.prefix for reply in sent if isinstance(reply, StoreSetBack)))
        return [reply if isinstance(reply, Exception) else self._counted(reply, known) for reply in checked]

    def _refused(self, calls: Sequence[ScriptCall]) -> dict[int, Any]:
        """Return by place the errors of calls that must not be sent, see `Turns`."""
        turns = self._turns
        if turns is None:
            return {}
        refusals: dict[int, StoreUnavailable | None] = {}
        if turns.left_alone:
            refusals = {n: turns.refusal(call.keys) for n, call in enumerate(calls)}
        for n, call in enumerate(calls):
            if call.script in self._dialling and not refusals.get(n):
                refusals[n] = turns.caution(call.keys)
        return {n: refusal for n, refusal in refusals.items() if refusal}

    def _counted(self, reply: Sequence[Any], known: Mapping[str, int]) -> Any:
        """Return what a script replied; or the error that its shard went back in time, see `Turns`."""
        if self._turns is not None and len(reply) > len(("reply", "beside")):
            return self._turns.learn(known, reply[2]) or reply[0]
        return reply[0]

    def _checked(self, replies: Mapping[int, Any], keys: Sequence[str]) -> list[Any]:
        """Return the replies in the order of `keys`, with errors as `run_each` returns them.

        Logs the keys of another type. `keys` has the key of each command, for errors that name none.
        """
        checked = []
        for place, key in enumerate(keys):
            reply = replies[place]
            if isinstance(reply, Exception) and not isinstance(reply, StoreUnavailable):
                reply = translated(reply, key)
            if isinstance(reply, WrongKey):
                self._wrong_keys.tell(reply)
            checked.append(reply)
        return checked


def _all_good(replies: list[Any]) -> list[Any]:
    """Return the replies. Raises the first error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _beside(reply: Any) -> Sequence[bytes]:
    """Return the keys of another type that a script skipped, see `apart` in common.lua."""
    return reply[1] or () if isinstance(reply, list) and len(reply) > 1 else ()
