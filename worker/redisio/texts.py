"""The texts of scripts as a server gets them, and the commands that run them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from worker.redisio.node import Command


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A run of one script: its name, its key or keys, and its arguments."""

    script: str
    keys: str | Sequence[str]
    args: Sequence[str | bytes | float]

    @property
    def first_key(self) -> str:
        return self.keys if isinstance(self.keys, str) else self.keys[0]


class Texts:
    """Scripts by their names. Thread-safe."""

    def __init__(self, text_of: Callable[[str], str], spread: Collection[str] = ()) -> None:
        """See `Scripts`."""
        self._source, self._spread = text_of, spread
        self._digests: dict[str, str] = {}

    def is_spread(self, call: ScriptCall) -> bool:
        """Return whether a call has keys of several shards, of which a cluster gets only the first as such."""
        return call.script in self._spread

    def command(self, call: ScriptCall) -> Command:
        """Return the command that runs a script by its digest."""
        keys = (call.keys,) if isinstance(call.keys, str) else call.keys
        if call.script in self._spread:
            return ("EVALSHA", self._digest(call.script), 1, keys[0], len(keys) - 1, *keys[1:], *call.args)
        return ("EVALSHA", self._digest(call.script), len(keys), *keys, *call.args)

    def spelled_out(self, commands: Mapping[int, Command], calls: Sequence[ScriptCall]) -> dict[int, Command]:
        """Return `commands`, which run some of `calls`, for a server that does not know the scripts.

        The first of each script has its text; from that one on the server knows the script. SCRIPT LOAD is not used
        because some servers do not allow it.
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
