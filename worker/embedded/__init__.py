"""A Redis server that belongs to this program: the default when no REDIS_URL is set.

    with EmbeddedServer(default_state_dir()) as server:
        redis.Redis.from_url(server.url)

The server listens on a Unix socket only, in a folder of mode 0700 that also holds its data. The first process
that starts one on a folder owns it; later ones attach, and one of them starts it again when the owner leaves.

    folder.py     which folder, which socket, which URLs
    binary.py     which server program
    locks.py      who owns the folder, who may run in it
    launch.py     one server and its guard
    guard.py      the process that ties the server to its parent
    probe.py      does it answer
    serverlog.py  why it did not start
    server.py     EmbeddedServer: own, attach, take over
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
