"""Runs Lua scripts: many in one round trip, loaded when Redis does not know them yet."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from worker.errors import StoreFault, StoreSetBack, StoreUnavailable, WrongKey
from worker.redisio.kept import Kept, questions, settled
from worker.redisio.node import Command, Node, exchange
from worker.redisio.nodes import Nodes, OneNode
from worker.redisio.reach import Reach
from worker.redisio.refusals import ON_THE_MOVE, code_of, held_shard, is_unauthenticated
from worker.redisio.turns import Turns
from worker.redisio.wrong_keys import WrongKeys, wrong_key

APART_SECONDS = 2.0
"""How long the keys of a server are asked for one by one after some of them were on their way to another server."""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A run of one script: its name, its key or keys, and its arguments."""

    script: str
    keys: str | Sequence[str]
    args: Sequence[str | bytes | float]


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
        spread: Collection[str] = (),
    ) -> None:
        """`turns` notices a shard that went back in time, and then refuses what concerns it. `spread` are the scripts
        of which a cluster gets the first key as such and the others as arguments."""
        self._nodes, self._source, self._turns = nodes or OneNode(client), text_of, turns
        # What follows on one server asks for its file later; on several that is another one.
        self._kept_by_commands = Kept.FILE if self._nodes.several else Kept.REPLICAS
        self._spread = spread
        self._reach = Reach() if self._nodes.several else None
        self._digests: dict[str, str] = {}
        self._wrong_keys = WrongKeys()

    def is_apart(self, error: Exception) -> bool:
        """Tell whether an error is that of a part of the store, while others answer."""
        if isinstance(error, StoreSetBack):
            return True
        return isinstance(error, StoreUnavailable) and self._reach is not None and self._reach.answers

    def clock_of(self, shard: str) -> str:
        """Name the clock by which a shard's scripts tell the time: another one, if another server has the shard."""
        return f"{shard} {id(self.server_of(shard))}" if self.several else ""

    @property
    def _is_whole(self) -> bool:
        """Whether the store has one server, which has all shards."""
        return self._reach is None and not (self._turns and self._turns.left_alone)

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
        return _all_good(self.read_each(calls))

    def read_each(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts that only read, like `run_each`, but without waiting for file and replicas."""
        return self._run(calls, Kept.NOT)

    def read_parts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts that only read, like `run_parts`, but without waiting for Redis' file."""
        return self.read_all(calls) if self._is_whole else self._parts(self.read_each(calls))

    def look_each(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands that only read; return for each its reply, or the error that it met.

        A command without a key goes to the server of the one before it.
        """
        keys = list[str]()
        for words in commands:
            keys.append(str(words[1]) if len(words) > 1 else keys[-1])
        return self._checked(self._followed(keys, dict(enumerate(commands)), Kept.NOT), keys)

    @property
    def several(self) -> bool:
        """Whether the store has several servers."""
        return self._nodes.several

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

    def server_of(self, key: str) -> Node | None:
        """Return the server that has `key`, None if that cannot be learned at the moment."""
        try:
            return self._nodes.of(key)
        except (RedisError, OSError):
            return None

    def _group_of(self, key: str) -> object:
        if self._turns and key in self._turns.left_alone:
            return key
        node = self.server_of(key)
        return key if node is None or node.apart_until > time.monotonic() else node

    def run_commands(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands without a script, like `run_all`. One server does not wait for its file: what follows does.

        The second word of each command is its key.
        """
        return _all_good(self.commands_each(commands))

    def commands_each(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands like `run_commands`; return for each its reply, or the error that it met."""
        keys = [str(words[1]) for words in commands]
        return self._checked(self._followed(keys, dict(enumerate(commands)), self._kept_by_commands), keys)

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
        keys = [_first_key(call) for call in calls]
        refused = self._refused(calls)
        commands = {n: self._command(call) for n, call in enumerate(calls) if n not in refused}
        known = self._turns.known if self._turns else {}
        replies = refused | self._followed(keys, commands, kept)
        unknown = [n for n, reply in replies.items() if isinstance(reply, NoScriptError)]
        if unknown:
            replies |= self._send(keys, {n: commands[n] for n in unknown}, kept, texts=calls)
        for n, call in enumerate(calls):
            if call.script in self._spread and isinstance(replies[n], ResponseError):
                self._keep_apart(keys[n], replies[n])
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
        if self._turns is None or not self._turns.left_alone:
            return {}
        refusals = ((n, self._turns.refusal(call.keys)) for n, call in enumerate(calls))
        return {n: refusal for n, refusal in refusals if refusal}

    def _counted(self, reply: Sequence[Any], known: Mapping[str, int]) -> Any:
        """Return what a script replied; or the error that its shard went back in time, see `Turns`."""
        if self._turns is not None and len(reply) > len(("reply", "beside")):
            return self._turns.learn(known, reply[2]) or reply[0]
        return reply[0]

    def _followed(self, keys: Sequence[str], commands: Mapping[int, Command], kept: Kept) -> dict[int, Any]:
        """Send commands, and those whose keys are on another server of the cluster once more, there."""
        replies = self._send(keys, commands, kept)
        if self.several:
            moved = [n for n, reply in replies.items() if isinstance(reply, MovedError)]
            if moved:
                replies |= self._send(keys, {n: commands[n] for n in moved}, kept)
        return replies

    def _keep_apart(self, key: str, error: ResponseError) -> None:
        node = self.server_of(key)
        if node is not None and code_of(error) in ON_THE_MOVE:
            node.apart_until = time.monotonic() + APART_SECONDS

    def _send(
        self,
        keys: Sequence[str],
        commands: Mapping[int, Command],
        kept: Kept,
        texts: Sequence[ScriptCall] = (),
    ) -> dict[int, Any]:
        """Send commands, by their place among `keys`, to the servers of their keys.

        Returns by place the reply, or redis-py's error. With `texts`, the calls, the scripts go out as texts.
        """
        replies: dict[int, Any] = {}
        work: dict[Node, dict[int, Command]] = {}
        for place, command in commands.items():
            try:
                work.setdefault(self._nodes.of(keys[place]), {})[place] = command
            except (RedisError, OSError) as error:
                replies[place] = error
        if texts:
            work = {node: self._with_texts(some, texts) for node, some in work.items()}
        send = self._reach.exchange if self._reach else exchange
        answers = send([(node, [*some.values(), *questions(node, kept)]) for node, some in work.items()])
        for (node, some), answer in zip(work.items(), answers, strict=True):
            found = settled(node, kept, answer)
            if self._reach and not isinstance(found, list):
                self._reach.leave(node, found)
            replies |= (
                zip(some, found, strict=True) if isinstance(found, list) else dict.fromkeys(some, found)
            )
        return replies

    def _checked(self, replies: Mapping[int, Any], keys: Sequence[str]) -> list[Any]:
        """Return the replies in the order of `keys`, with errors as `run_each` returns them.

        Logs the keys of another type. `keys` has the key of each command, for errors that name none.
        """
        checked = []
        for place, key in enumerate(keys):
            reply = replies[place]
            if isinstance(reply, Exception) and not isinstance(reply, StoreSetBack):
                reply = translated(reply, key)
            if isinstance(reply, WrongKey):
                self._wrong_keys.tell(reply)
            checked.append(reply)
        return checked

    def _command(self, call: ScriptCall) -> Command:
        keys = (call.keys,) if isinstance(call.keys, str) else call.keys
        if call.script in self._spread:
            return ("EVALSHA", self._digest(call.script), 1, keys[0], len(keys) - 1, *keys[1:], *call.args)
        return ("EVALSHA", self._digest(call.script), len(keys), *keys, *call.args)

    def _with_texts(self, commands: Mapping[int, Command], calls: Sequence[ScriptCall]) -> dict[int, Command]:
        """Return the commands for scripts that the server does not know: the first of each script with its text.

        From that one on the server knows the script. SCRIPT LOAD is not used because some servers do not allow it.
        """
        known: set[str] = set()
        whole = {}
        for place, command in commands.items():
            name = calls[place].script
            whole[place] = command if name in known else ("EVAL", self._text(name), *command[2:])
            known.add(name)
        return whole

    def _text(self, name: str) -> str:
        return _wrapped(self._source(name))

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            text = self._text(name).encode()
            self._digests[name] = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        return self._digests[name]


def _all_good(replies: list[Any]) -> list[Any]:
    """Return the replies. Raises the first error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _wrapped(script: str) -> str:
    """Have `script` reply {reply, second value}: what it returns, and what it returns beside that.

    If it changed a shard or read its turn, a third value names shards and turns, see `Turns`.
    """
    return f"""local TURNS
local function run()
{script}
end
local reply, beside = run()
if TURNS then return {{reply or false, beside or false, TURNS}} end
return {{reply or false, beside}}
"""


def _first_key(call: ScriptCall) -> str:
    return call.keys if isinstance(call.keys, str) else call.keys[0]


def _beside(reply: Any) -> Sequence[bytes]:
    """Return the keys of another type that a script skipped, see `apart` in common.lua."""
    return reply[1] or () if isinstance(reply, list) and len(reply) > 1 else ()


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn redis-py's errors into what `translated` says of them."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise translated(error) from error


def translated(error: Exception, key: str | None = None) -> Exception:
    """Return what an error of redis-py means: StoreUnavailable, WrongKey or, where the fault is ours, StoreFault.

    It has `error` as its cause. `key` is the key of the command, for errors that name none.
    """
    held = held_shard(error) if isinstance(error, ResponseError) else None
    meaning = StoreSetBack(held) if held else _meaning(error, key)
    meaning.__cause__ = error
    return meaning


def _meaning(error: Exception, key: str | None) -> Exception:
    if isinstance(error, ResponseError):
        if code := code_of(error):
            return StoreUnavailable(f"Redis cannot write at the moment: {code}: {error}")
        if (found := wrong_key(error, key)) is not None:
            return found
        if isinstance(error, NoPermissionError) or is_unauthenticated(error):
            return StoreUnavailable(f"Redis refuses: {error}")
        return StoreFault(str(error))
    if isinstance(error, AuthenticationError):
        return StoreUnavailable(f"Redis refuses: {error}")
    return StoreUnavailable(f"Redis does not answer: {type(error).__name__}: {error}")
