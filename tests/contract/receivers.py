"""Runs the receivers in examples/receivers, each as its first lines say, and asks them as a sender does."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.processes import absent, free_port, process, wait_until, wait_until_served
from worker.configuration.credentials import signing_key
from worker.delivery.signing import sign

ROOT = Path(__file__).parents[2]
RECEIVERS = ROOT / "examples/receivers"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
OTHER_SECRET = "whsec_" + "A" * 32
PATH = "/calls"
SECONDS = 30


@dataclass(frozen=True)
class Language:
    """How a receiver is run on a port. `works` is the command that works on stored events, if it is another one."""

    program: str
    needs: str
    command: Callable[[int], Sequence[str]]
    works: Sequence[str] = ()


LANGUAGES = {
    "python": Language(
        "python/stdlib.py", sys.executable, lambda port: [sys.executable, "stdlib.py", str(port), "stored"]
    ),
    "asgi": Language(
        "python/asgi.py",
        sys.executable,
        lambda port: [sys.executable, "-m", "uvicorn", "--port", str(port), "asgi:app"],
    ),
    "node": Language("node/receiver.mjs", "node", lambda port: ["node", "receiver.mjs", str(port), "stored"]),
    "php": Language(
        "php/receiver.php",
        "php",
        lambda port: ["php", "-S", f"127.0.0.1:{port}", "receiver.php"],
        ["php", "receiver.php"],
    ),
}


class Receiver:
    """One receiver in a folder of its own, under way or ended, and what it has printed so far."""

    def __init__(self, language: str, folder: Path) -> None:
        self._language, self._folder = LANGUAGES[language], folder
        if shutil.which(self._language.needs) is None:
            absent(self._language.needs)
        shutil.copy(RECEIVERS / self._language.program, folder)
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    @contextmanager
    def running(self, *secrets: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run it; it has ended afterwards."""
        self._port = free_port()
        command, environ = self._language.command(self._port), self._environ(secrets)
        with process(command, self._folder, environ) as server:
            wait_until_served(server, self._answers, self._folder)
            yield server

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Return the status of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)) as connection:
            connection.request("POST", PATH, body, {"content-type": "application/json", **headers})
            return connection.getresponse().status

    def post_part(self, content: bytes, **headers: str) -> int:
        """Send this much of a body under these headers, and return the status of the answer."""
        lines = [f"POST {PATH} HTTP/1.1", "host: x", *(f"{name}: {text}" for name, text in headers.items())]
        with socket.create_connection(("127.0.0.1", self._port), SECONDS) as sock:
            with suppress(OSError):
                sock.sendall("\r\n".join([*lines, "", ""]).replace("_", "-").encode() + content)
            return int(sock.makefile("rb").readline().split()[1])

    @property
    def output(self) -> str:
        """All that it has printed, and the work on the events that came."""
        if self._language.works:
            with (self._folder / "output").open("ab") as output:
                subprocess.run(
                    self._language.works,
                    cwd=self._folder,
                    env=self._environ([]),
                    stdout=output,
                    timeout=SECONDS,
                    check=True,
                )
        return (self._folder / "output").read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output, f"the receiver prints {text!r}", SECONDS)

    def wait_until_done(self, text: str) -> None:
        """Wait until it has printed `text` and has noted that it will not work on that event again."""
        self.wait_for(text)
        wait_until(lambda: not self._undone(), "the work is noted as done", SECONDS)

    def _undone(self) -> int:
        """Return how many stored events are not noted as done: rows of a database, or files without a second one."""
        found = sum(not file.with_suffix(".done").exists() for file in self._folder.glob("*/*.json"))
        for file in (self._folder / "stored", self._folder / "events.db"):
            if file.is_file():
                with closing(sqlite3.connect(file, timeout=SECONDS)) as database:
                    found += database.execute("SELECT count(*) FROM events WHERE NOT done").fetchone()[0]
        return found

    def _environ(self, secrets: Sequence[str]) -> dict[str, str]:
        own = {"WEBHOOK_SECRET": " ".join(secrets), "PYTHONUNBUFFERED": "1", "HOME": str(self._folder)}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own}

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
            return True
        return False


Signer = Callable[[str, str, bytes, int], str]
"""Makes the header `webhook-signature` from a secret, an id, a body and a time in Unix seconds."""


def by_the_worker(secret: str, event_id: str, body: bytes, unix: int) -> str:
    return sign([signing_key(secret)], event_id, unix, body)


def by_the_package(secret: str, event_id: str, body: bytes, unix: int) -> str:
    """The PyPI package `standardwebhooks`."""
    return Webhook(secret).sign(event_id, datetime.fromtimestamp(unix, UTC), body.decode())


def headers(
    body: bytes,
    event_id: str = "evt_1",
    *,
    secret: str = SECRET,
    signer: Signer = by_the_worker,
    later: int = 0,
    sequence: int | None = None,
) -> dict[str, str]:
    """Return the headers of a genuine request, signed `later` seconds from now."""
    unix = int(time.time()) + later
    number = {} if sequence is None else {"callworker-sequence": str(sequence)}
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(unix),
        "webhook-signature": signer(secret, event_id, body, unix),
        **number,
    }


each_signer = pytest.mark.parametrize("signer", [by_the_worker, by_the_package])
