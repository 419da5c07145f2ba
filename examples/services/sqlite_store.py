"""Keeps verifications in SQLite, for services without a database of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple

from verification import Unknown, Verification

SCHEMA = """
create table if not exists verification (
    id text primary key, country text, phone text, call integer, sent_at real, tries integer, state text, reason text
);
create table if not exists call (country text, phone text, sent_at real);
create index if not exists call_number on call (country, phone, sent_at);
"""


class SqliteStore:
    """Implements `verification.Store`. Each transaction opens the file, so any thread or process may begin one."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._opened() as database:
            database.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[SqliteKept]:
        with self._opened() as database:
            # One writer at a time from here on. What is not committed is undone when the file is closed.
            database.execute("begin immediate")
            yield SqliteKept(database)
            database.execute("commit")

    def _opened(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, isolation_level=None, timeout=10))


class SqliteKept:
    """Implements `verification.Kept`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def get(self, verification_id: str) -> Verification:
        query = "select * from verification where id = ?"
        row = self._database.execute(query, [verification_id]).fetchone()
        if row is None:
            raise Unknown
        return Verification(*row)

    def save(self, verification: Verification) -> None:
        row = astuple(verification)
        self._database.execute("insert or replace into verification values (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def calls_to(self, country: str, phone: str, since: float) -> list[float]:
        query = "select sent_at from call where country = ? and phone = ? and sent_at > ? order by sent_at"
        return [sent_at for (sent_at,) in self._database.execute(query, [country, phone, since])]

    def note_call(self, verification: Verification) -> None:
        row = (verification.country, verification.phone, verification.sent_at)
        self._database.execute("insert into call values (?, ?, ?)", row)
