"""Runs the programs in examples/producers, each with its own language's interpreter and libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.processes import absent

ROOT = Path(__file__).parents[2]
PRODUCERS = ROOT / "examples/producers"
JARS = ("amqp-client", "gson", "slf4j-api")
CLASSPATH = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
SECONDS = 100

ON_REDIS = {
    "php": ["php", "php/redis.php"],
    "ruby": ["ruby", "ruby/redis.rb"],
    "node": ["node", "node/redis.js"],
}
ON_RABBITMQ = {
    "php": ["php", "php/rabbitmq.php"],
    "ruby": ["ruby", "ruby/rabbitmq.rb"],
    "node": ["node", "node/rabbitmq.js"],
    "java": ["java", "-cp", CLASSPATH, "java/RabbitMq.java"],
}
"""How each program is run, by its language; the others are shown to the reader only."""

PROBES = {
    "php": ["php", "-r", "exit(extension_loaded('redis') && extension_loaded('amqp') ? 0 : 1);"],
    "ruby": ["ruby", "-e", "require 'redis'; require 'bunny'"],
    "node": ["npm", "--version"],
    "java": ["javac", "-version"],
}


class Programs:
    """The examples of one language, ready to run in a folder of their own."""

    def __init__(self, language: str, folder: Path) -> None:
        self._language, self._folder = language, folder

    def send(self, job: dict[str, str], url: str) -> subprocess.CompletedProcess[str]:
        """Run the program for the broker at `url` and wait until it has ended."""
        commands, name = (ON_RABBITMQ, "AMQP_URL") if url.startswith("amqp") else (ON_REDIS, "REDIS_URL")
        fields = [f"{field}={value}" for field, value in job.items()]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "LANG": "C.UTF-8", name: url}
        return _run([*commands[self._language], *fields], self._folder, environ)


def prepared(language: str, folder: Path) -> Programs:
    """The programs in `folder`, a copy of PRODUCERS, with what they need installed.

    Ends the test where the language or its libraries are not here.
    """
    if not _is_here(language):
        absent(f"{language} with its Redis and AMQP clients")
    if language == "node":
        installed = _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder / "node")
        assert installed.returncode == 0, installed.stderr
    return Programs(language, folder)


def _run(
    command: Sequence[str], folder: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def _is_here(language: str) -> bool:
    probe = PROBES[language]
    here = shutil.which(probe[0]) is not None and _run(probe, ROOT).returncode == 0
    return here and (language != "java" or all(Path(jar).exists() for jar in CLASSPATH.split(":")))
