"""The random id of this state, of which ids of events are made. It is in Redis, and so goes where the state goes."""

from __future__ import annotations

import secrets

from worker.errors import WrongKey
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys


class Installation:
    """The id of the state in one Redis. Thread-safe."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts, self._id = scripts, ""

    def id(self) -> str:
        """Return the id; the first worker of an installation makes it.

        Takes one round trip the first time. Raises StoreUnavailable. If its key holds another type, this process uses
        an id of its own: what another one tells again then has other ids.
        """
        if not self._id:
            new = secrets.token_hex(16)
            try:
                found: bytes = self._scripts.run(ScriptCall("installation", keys.INSTALLATION, (new,)))
                self._id = found.decode(errors="replace")
            except WrongKey:
                self._id = new
        return self._id
