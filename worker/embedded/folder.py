"""The folder of the embedded server, with its data and its socket.

Except for `make_private`, `check_private` and `make_short`, everything here is computed from the folder's name alone,
so any process can find a running server without asking another one.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import quote

from worker.embedded.errors import EmbeddedServerError

OPEN_TO_OTHERS, WRITABLE_BY_OTHERS = 0o077, 0o022
DATA_FOLDER = "appendonlydir"
OWNER_LOCK = "lock"
SERVER_LOCK = "server.lock"
EPHEMERAL_MARK = "ephemeral"
SOCKET_NAME = "redis.sock"

MAX_SOCKET_PATH_BYTES = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux, including the closing NUL."""
SHORT_ROOT = Path("/tmp")
"""Not tempfile.gettempdir(): TMPDIR may differ between two terminals, but both must compute the same path."""


def default_state_dir() -> Path:
    """The default folder: `$XDG_STATE_HOME/callworker`, or `~/.local/state/callworker`.

    A relative XDG_STATE_HOME is ignored. Raises EmbeddedServerError if the user has no home folder. Source: XDG Base
    Directory Specification 0.8.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named / "callworker"
    try:
        return Path.home() / ".local" / "state" / "callworker"
    except RuntimeError as error:
        raise EmbeddedServerError(
            "there is no home folder for the embedded server: set CALLWORKER_STATE_DIR"
        ) from error


def real_folder(state_dir: str | os.PathLike[str]) -> Path:
    """The absolute name of a folder, with `~` and symbolic links resolved."""
    return Path(os.path.realpath(Path(state_dir).expanduser()))


def socket_path(state_dir: str | os.PathLike[str]) -> Path:
    """The path of the server's socket: in its folder, or in a short folder if that path is too long."""
    folder = real_folder(state_dir)
    near = folder / SOCKET_NAME
    if len(os.fsencode(near)) <= MAX_SOCKET_PATH_BYTES:
        return near
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return SHORT_ROOT / f"callworker-{os.getuid()}-{digest}" / SOCKET_NAME


def socket_url(state_dir: str | os.PathLike[str]) -> str:
    """The server's address for redis-py, `unix:///path`. Starts nothing and reads nothing."""
    return f"unix://{quote(os.fsencode(socket_path(state_dir)))}"


def broker_url(state_dir: str | os.PathLike[str]) -> str:
    """The server's address for kombu, `redis+socket:///path`. Starts nothing and reads nothing."""
    return f"redis+socket://{quote(os.fsencode(socket_path(state_dir)))}"


def make_private(folder: Path) -> None:
    """Create `folder` with mode 0700, or check that it and its files belong to this user and close it to others.

    Raises EmbeddedServerError if the folder cannot be created, belongs to another user, or is refused by
    `check_private`.
    """
    _make_own(folder)
    check_private(folder)
    if folder.stat().st_mode & OPEN_TO_OTHERS:
        folder.chmod(0o700)
        # Another user may have put a file there before the mode changed.
        check_private(folder)


def check_private(folder: Path) -> None:
    """Raise EmbeddedServerError unless an existing folder may be used. Changes nothing.

    A folder that others can read is accepted if it is empty or already belongs to the embedded server, so that a wrong
    setting never changes the mode of, say, a home folder. A folder that others can write to is accepted only if it is
    empty: jobs that somebody put there would be dialled.
    """
    mode, empty = _own(folder).st_mode, not any(folder.iterdir())
    if mode & WRITABLE_BY_OTHERS and not empty:
        raise EmbeddedServerError(
            f"{folder} can be written to by other users and holds files: check them, then chmod it to 700"
        )
    if mode & OPEN_TO_OTHERS and not empty and not (folder / OWNER_LOCK).exists():
        raise EmbeddedServerError(
            f"{folder} is open to other users and holds other files: name an empty folder, or chmod it to 700"
        )
    _refuse_planted(folder)


def _refuse_planted(folder: Path) -> None:
    """Raise EmbeddedServerError for a link, and for a file that another user owns or can change."""
    for entry in [*folder.iterdir(), *_inside(folder / DATA_FOLDER)]:
        try:
            status = entry.lstat()
        except FileNotFoundError:
            # A running server replaces its files.
            continue
        if fault := _fault(status):
            raise EmbeddedServerError(
                f"{entry} {fault}: find out where it comes from, then remove it or correct its owner and mode"
            )


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _fault(status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link, which the server would follow"
    if status.st_uid != os.getuid():
        return "belongs to another user"
    # Where each user has a group of their own, files are often open to the group.
    if status.st_mode & stat.S_IWOTH:
        return "can be written to by other users"
    return None


def make_short(socket: Path) -> None:
    """Create the private folder of a socket in a place where all users can write.

    Raises EmbeddedServerError unless it is a real folder of this user with mode 0700: another owner could read every
    job.
    """
    status = _make_own(socket.parent)
    if status.st_mode & OPEN_TO_OTHERS:
        raise EmbeddedServerError(f"{socket.parent} is open to other users: remove it, or chmod it to 700")


def _make_own(folder: Path) -> os.stat_result:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(f"the folder {folder} cannot be created: {error.strerror}") from error
    return _own(folder)


def _own(folder: Path) -> os.stat_result:
    try:
        status = folder.lstat()
    except OSError as error:
        raise EmbeddedServerError(f"the folder {folder} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EmbeddedServerError(
            f"{folder} is not a folder of this user: name another in CALLWORKER_STATE_DIR"
        )
    return status
