"""The sandbox provider of the distribution `callworker`, as a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ANSWER_SECONDS = 30.0
_URL = re.compile(r"http://\S+?:\d+")


class NotInstalled(Exception):
    """The command `callworker` is not there."""

    def __init__(self) -> None:
        super().__init__("the sandbox is a command of the workers' package: pip install callworker")


class Sandbox:
    """A stand-in provider. Give its `url` to a worker as PROXSTOP_URL, and no real phone is called."""

    def __init__(self, url: str) -> None:
        self.url = url

    def requests(self, phone: str | None = None) -> list[dict[str, Any]]:
        """Return the requests so far, or those for one number: their `answer`, and whether a phone was `rung`."""
        query = "" if phone is None else "?" + urlencode({"phone": phone})
        return [json.loads(line) for line in self._ask(f"/_requests{query}").splitlines()]

    def clear(self) -> None:
        """Forget the requests so far."""
        self._ask("/_requests", "DELETE")

    def _ask(self, path: str, method: str = "GET") -> str:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=ANSWER_SECONDS)
        with closing(connection):
            connection.request(method, path)
            return connection.getresponse().read().decode()


@contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """Run a sandbox on a free port of 127.0.0.1. Raises NotInstalled."""
    beside = shutil.which("callworker", path=str(Path(sys.executable).parent))
    command = beside or shutil.which("callworker")
    if command is None:
        raise NotInstalled
    with subprocess.Popen([command, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            found = process.stdout and _URL.search(process.stdout.readline())
            if not found:
                raise RuntimeError("`callworker sandbox` did not start; what it says is above")
            yield Sandbox(found[0])
        finally:
            process.terminate()
