"""A Redis server that belongs to this program: the default when no REDIS_URL is set.

    with EmbeddedServer(default_state_dir()) as server:
        redis.Redis.from_url(server.url)

The server listens on a Unix socket only, in a folder of mode 0700 that also holds its data. The first process
that starts one on a folder owns it; later ones attach, and one of them starts it again when the owner leaves.

    folder     which folder, which socket, which URLs
    binary     which server program
    locks      who owns the folder, who may run in it
    launch     one server and its guard
    guard      the process that ties the server to its parent
    probe      does it answer
    serverlog  why it did not start
    server     EmbeddedServer: own, attach, take over
    errors     the one error of this package
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
