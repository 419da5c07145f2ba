"""`callworker restore FILE`: tells a restored state which jobs have ended since its backup."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import click
import redis

from worker.cli import moments, places
from worker.cli.audited import Trail, why_option
from worker.cli.output import example, json_option, print_json, say
from worker.settings import Settings
from worker.state.decisions import Retention
from worker.state.drains import RedisDrain, left
from worker.state.told_ends import OTHER_ACCOUNT, ToldEnd, ToldEnds, read

_WORDS = {
    "ended": "jobs have ended now as their events say, without a call",
    "known": "had ended in the backup already",
    "in_hand": "are in hand, and were left alone: run this again once `callworker drain` says that none is",
    OTHER_ACCOUNT: "have an id that belongs to another account, and were left alone",
    "blocked": "were left alone because a key in Redis has a wrong type; `callworker doctor` names it",
}
_LEFT_ALONE = ("in_hand", OTHER_ACCOUNT, "blocked")


@click.command(epilog=example("callworker restore events.jsonl --since 2026-12-01T09:00:00Z"))
@click.argument("file", type=click.Path(allow_dash=True, path_type=Path))
@click.option(
    "--since",
    required=True,
    metavar="TIME",
    help="When the backup was made, or earlier: a span back from now (`90m`, `24h`), or 2026-12-01T09:00:00Z. "
    "Older events are left out.",
)
@why_option
@json_option
def command(file: Path, since: str, why: str, as_json: bool) -> None:
    """Tell a Redis that was restored from a backup which jobs have ended since, from the events of subscribers.

    FILE has one event per line, as `callworker results --json` prints it and webhooks get it. Jobs that wait in the
    restored state, or come again, then end as their events say, without a call. The same events leave again, under the
    same ids. The workers must be drained, with nothing in hand. It may be run again.
    """
    ends = _read(file, moments.past(since, "--since"))
    settings = Settings.from_env()
    with places.store(settings) as client:
        _must_be_drained(client)
        Trail(client, settings, why).note("restore", detail={"events": len(ends)})
        kept = Retention.of(settings.retention_seconds, settings.replay_seconds)
        found = ToldEnds(client, places.accounts(settings), kept).put_back(ends)
    _print(found, as_json)
    if any(found[word] for word in _LEFT_ALONE):
        raise click.exceptions.Exit(1)


def _read(file: Path, since: datetime) -> list[ToldEnd]:
    """Read the ends since then. Raises UsageError, with the line's number, for a line that is no event."""
    found = []
    for number, line in enumerate(_lines(file), 1):
        try:
            told = read(line) if line.strip() else None
            if told is not None and datetime.fromisoformat(json.loads(line)["timestamp"]) >= since:
                found.append(told)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise click.UsageError(f"line {number} of {file} is no event; nothing was changed") from None
    return found


def _lines(file: Path) -> list[str]:
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            return opened.readlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None


def _must_be_drained(client: redis.Redis) -> None:
    if RedisDrain(client).read() is None:
        raise click.ClickException("the workers are not drained: run `callworker drain` first")
    if in_hand := left(client).in_hand:
        say(f"callworker: {in_hand} jobs are in hand still", err=True)


def _print(found: Counter[str], as_json: bool) -> None:
    if as_json:
        print_json({word: found[word] for word in _WORDS})
        return
    for word, text in _WORDS.items():
        if found[word] or word == "ended":
            say(f"{found[word]} {text}")
