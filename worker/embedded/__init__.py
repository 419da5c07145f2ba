"""A Redis server that belongs to this program. It is the default when no REDIS_URL is set.

    with EmbeddedServer(default_state_dir()) as server:
        redis.Redis.from_url(server.url)

The server listens on a Unix socket only, in a folder of mode 0700 that also holds its data. The first process that
starts it on a folder owns it. Later processes attach, and one of them starts it again when the owner leaves. Reasons:
docs/decisions/0017-the-embedded-server.md.

    folder     the folder, the socket and the URLs
    binary     finds the server program
    locks      the locks for the owner and for the running server
    launch     starts and ends one server with its guard
    guard      the process that ties the server to its parent
    probe      asks the server whether it is ready
    serverlog  the server's log, and the reason of a failed start
    server     EmbeddedServer: own, attach, take over
    errors     the one error of this room
"""

from __future__ import annotations

from worker.embedded.binary import ServerBinary, find_binary
from worker.embedded.errors import EmbeddedServerError
from worker.embedded.folder import broker_url, check_private, default_state_dir, real_folder, socket_url
from worker.embedded.server import EmbeddedServer

__all__ = [
    "EmbeddedServer",
    "EmbeddedServerError",
    "ServerBinary",
    "broker_url",
    "check_private",
    "default_state_dir",
    "find_binary",
    "real_folder",
    "socket_url",
]
