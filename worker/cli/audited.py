"""Puts what an operator does by a command on the audit trail, before it is done."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping
from typing import Any

import click
import redis

from worker.settings import Settings
from worker.state.audit import Act, AuditTrail

why_option: Callable[[Any], Any] = click.option(
    "--why",
    default="",
    metavar="TEXT",
    help="The reason, for the audit trail. Secrets and numbers of seven digits or more are masked in it.",
)


class Trail:
    """The audit trail, for the acts of one command."""

    def __init__(self, client: redis.Redis, settings: Settings, why: str) -> None:
        self._trail, self._why = AuditTrail(client), why
        self._who, self._host = who(settings), socket.gethostname()

    def note(
        self,
        act: str,
        *,
        account: str = "",
        endpoint: str = "",
        job: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Put an act on the trail. Raises StoreUnavailable or WrongKey, so that the command ends before the act."""
        detail = detail or {}
        self._trail.write(Act(act, self._who, self._host, self._why, account, endpoint, job, detail))


def who(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """The name of the person: CALLWORKER_OPERATOR, else the user who ran sudo, else the user of this process."""
    return settings.operator or environ.get("SUDO_USER") or _user()


def _user() -> str:
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
