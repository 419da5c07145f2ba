"""Checks what other people could read or change: files with keys, the state folder, unencrypted connections."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from worker import embedded
from worker.broker import address
from worker.cli.doctor.finding import Finding
from worker.configuration.urls import is_plain_remote, shown_origin
from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.settings import Settings

WRITABLE, SECRET = 0o022, 0o027
"""Modes that a file of settings, and a file with a key, should not have. A group may read a key, because Kubernetes
mounts secrets like that."""


def check(settings: Settings) -> Iterator[Finding]:
    """Yield a warning for each file, folder and address that is not as it should be."""
    try:
        accounts = Accounts.load(settings.accounts_file)
    except ConfigurationError:
        accounts = Accounts({})
    hooks = [hook for account in accounts.values() for hook in account.webhooks]
    authorities = [settings.proxstop_ca_file, *(hook.ca_file for hook in hooks)]
    for path in dict.fromkeys([settings.accounts_file, settings.provider_errors_file, *authorities]):
        if path is not None:
            yield from _open_file(path, WRITABLE)
    for account in accounts.values():
        if account.api_key_file is not None:
            yield from _open_file(account.api_key_file, SECRET)
    for path in dict.fromkeys(hook.secret_file for hook in hooks):
        if path is not None:
            yield from _open_file(path, SECRET)
    yield from _plain_addresses(settings, accounts)
    if settings.embedded:
        yield from _open_state(settings)


def _open_file(path: Path, unwanted: int) -> Iterator[Finding]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        # The check of the files has reported this.
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & unwanted:
        may = "changed" if mode & unwanted & WRITABLE else "read"
        text = f"{path} can be {may} by other users: its mode is {mode:04o}"
        yield Finding.warn("file rights", text, f"chmod {mode & ~unwanted:o} {path}")
    if status.st_uid not in (0, os.geteuid()):
        text = f"{path} belongs to another user, who can change it"
        yield Finding.warn("file rights", text, "give it to root or to the worker's user")
    yield from _open_folder(path.resolve().parent)


def _open_folder(folder: Path) -> Iterator[Finding]:
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        text = f"every user can replace the files in {folder}"
        yield Finding.warn("file rights", text, f"chmod o-w {folder}")


def _plain_addresses(settings: Settings, accounts: Accounts) -> Iterator[Finding]:
    if is_plain_remote(settings.proxstop_url):
        text = "requests with API key, number and PIN leave this machine unencrypted"
        yield Finding.warn("provider", text, "use https:// in PROXSTOP_URL")
    for name, account in accounts.items():
        for origin in dict.fromkeys(
            shown_origin(hook.url) for hook in account.webhooks if is_plain_remote(hook.url)
        ):
            text = f"events to {origin} leave this machine unencrypted"
            yield Finding.warn(f"webhooks of {name}", text, "use https:// in that webhook's url")


def _open_state(settings: Settings) -> Iterator[Finding]:
    try:
        folder = embedded.real_folder(address.state_dir(settings))
        if not folder.exists():
            return
        embedded.check_private(folder)
    except embedded.EmbeddedServerError as error:
        yield Finding.fail(
            "state folder", str(error), "do that, or name another folder in CALLWORKER_STATE_DIR"
        )
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        text = f"{folder} is open to other users: its mode is {mode:04o}"
        yield Finding.warn("state folder", text, "restart the worker, which makes it private")
