"""Prepares the demo: the shipped accounts, made-up keys and secrets, free ports."""

from __future__ import annotations

import base64
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from worker.cli.demo.scenario import CASES, NO_SUCH_ACCOUNT
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError
from worker.settings import CONFIG_FOLDERS

HOST = "127.0.0.1"
PORTS = range(10_000, 30_000)
"""Below those from which Linux and macOS take one for each outgoing connection."""


@dataclass(frozen=True)
class Props:
    """The prepared parts. `environ` names the files and holds keys and secrets; `hook_port` receives the webhooks."""

    accounts: Accounts
    environ: Mapping[str, str]
    hook_port: int

    def api_keys(self) -> list[str]:
        return [account.api_key(self.environ) for account in self.accounts.values()]

    def hook_secrets(self) -> dict[str, Sequence[bytes]]:
        """The signing keys by the path of the webhook's URL."""
        return {
            urlsplit(hook.url).path: [secret.key for secret in hook.secrets(self.environ)]
            for hook in endpoints(self.accounts)
        }


def gather(folder: Path) -> Props:
    """Read the shipped accounts. If the port of their webhooks is in use, write a copy with another port to `folder`.

    Raises ConfigurationError if the shipped file was changed so that it does not fit the demo.
    """
    file = _shipped("accounts.toml")
    accounts = _fit(Accounts.load(file), file)
    named = _hook_port(accounts)
    port = named if is_free(named) else free_port()
    if port != named:
        text = file.read_text(encoding="utf-8")
        text = text.replace(f"{HOST}:{named}/", f"{HOST}:{port}/").replace(f"[{named}]", f"[{port}]")
        file = folder / "accounts.toml"
        file.write_text(text, encoding="utf-8")
        accounts = Accounts.load(file)
    files = {"ACCOUNTS_FILE": str(file), "PROVIDER_ERRORS_FILE": str(_shipped("provider_errors.toml"))}
    return Props(accounts, {**files, **made_up(accounts)}, port)


def endpoints(accounts: Accounts) -> list[Endpoint]:
    """All webhooks of all accounts."""
    return [hook for account in accounts.values() for hook in account.webhooks]


def free_port() -> int:
    """A port of this machine that is free at the moment, and that no outgoing connection is given meanwhile."""
    while not is_free(port := secrets.choice(PORTS)):
        pass
    return port


def _shipped(name: str) -> Path:
    """The file that comes with the program, not one in the current folder, which may be in production use."""
    found = (folder / name for folder in CONFIG_FOLDERS[1:] if (folder / name).is_file())
    return next(found, CONFIG_FOLDERS[0] / name).resolve()


def _fit(accounts: Accounts, file: Path) -> Accounts:
    missing = {case.account for case in CASES} - {NO_SUCH_ACCOUNT} - set(accounts)
    places = {(urlsplit(hook.url).hostname, urlsplit(hook.url).port) for hook in endpoints(accounts)}
    if missing or len(places) != 1 or next(iter(places))[0] != HOST:
        raise ConfigurationError(
            f"{file} was changed: the demo needs the shipped example, with accounts acme, globex and initech "
            f"and all webhooks on one port of {HOST}"
        )
    return accounts


def _hook_port(accounts: Accounts) -> int:
    return urlsplit(endpoints(accounts)[0].url).port or 80


def is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def made_up(accounts: Accounts) -> dict[str, str]:
    """Make up a key for each account and a secret for each webhook, under the names in the accounts file."""
    keys = {
        account.api_key_env: secrets.token_hex(16) for account in accounts.values() if account.api_key_env
    }
    names = [name for hook in endpoints(accounts) for name in hook.secret_env]
    return keys | {name: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode() for name in names}
