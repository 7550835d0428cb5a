"""The file: a row a cell and attempt. Nothing in it is ever changed, and of every cell one attempt at most is done.

    attempts   key, what it was, done or failed, what came of it, how long it took, on what machine
    plans      what each run of a sweep asked for: its table is made of the last one
    claims     which run works on which cell, and until when it says so: two sweeps on one file share the work

SQLite's write-ahead log lets reports read while a sweep writes; a file on a network share has none, so the store belongs on a disk of the
machine that sweeps.
"""

import contextlib
import json
import os
import platform
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from attrs import field, frozen

from edgekit.errors import EvidenceError, OutputError

SUFFIX = ".sweep"
_APPLICATION, _SCHEMA = 0x65646B73, 1  # "edks"
_WAIT_S = 60.0
_MOST_TEXT, _MOST_ROW_BYTES = 16 * 1024 * 1024, 1 << 28
_TABLES = """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, kind TEXT NOT NULL, cell TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    result TEXT, predictions BLOB, error TEXT, seconds REAL NOT NULL, machine TEXT NOT NULL, ended TEXT NOT NULL);
CREATE UNIQUE INDEX done_once ON attempts (key) WHERE status = 'done';
CREATE INDEX by_key ON attempts (key);
CREATE TABLE plans (id INTEGER PRIMARY KEY, name TEXT NOT NULL, began TEXT NOT NULL, plan TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL);
CREATE TRIGGER attempts_stay BEFORE UPDATE ON attempts BEGIN SELECT RAISE(ABORT, 'attempts are never changed'); END;
CREATE TRIGGER attempts_remain BEFORE DELETE ON attempts BEGIN SELECT RAISE(ABORT, 'attempts are never removed'); END;
"""


@frozen(kw_only=True)
class Attempt:
    """One time that a cell was run.

    :param cell: what it was, as plain JSON values, for people. :param result: what came of it, where it is done.
    :param predictions: see :mod:`edgekit.sweep_store.predictions`. :param seconds: of the process that ran it, its start included.
    :param machine: the name of the machine, and its kind of processor.
    """

    key: str
    kind: str
    cell: Mapping[str, Any]
    status: Literal["done", "failed"]
    result: Mapping[str, Any] | None = None
    predictions: bytes | None = field(default=None, repr=False)
    error: str | None = None
    seconds: float
    machine: str


class SweepStore:
    """An open store. Not for use from two threads; two processes may each open the same file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path.resolve()
        self._sql = connection

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """Open a store; to write, one is made where there is none.

        :raises EvidenceError: it is no store, or of another version. :raises OutputError: it cannot be made or written.
        """
        if not write and not path.is_file():
            raise EvidenceError(f"there is no store {path.name}", where=str(path), hint="edgekit sweep FILE makes one")
        try:
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
            place = path.resolve().as_uri() + ("?mode=rwc" if write else "?mode=ro")
            store = cls(sqlite3.connect(place, uri=True, timeout=_WAIT_S, isolation_level=None), path)
            try:
                store._begin(write=write)
            except BaseException:
                store.close()
                raise
        except sqlite3.DatabaseError as error:
            kind = OutputError if write and isinstance(error, sqlite3.OperationalError) else EvidenceError
            raise kind(f"{path.name} cannot be opened as the store of a sweep", where=str(path), why=str(error)) from error
        except OSError as error:
            raise OutputError(f"cannot write {path.name}", where=str(path.parent), why=error.strerror or str(error)) from error
        return store

    def _begin(self, *, write: bool) -> None:
        self._sql.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ROW_BYTES)
        if write:
            self._prepare()
        self._check()

    def _prepare(self) -> None:
        """Make the tables in a new file, once, whoever comes first."""
        self._sql.execute("PRAGMA journal_mode = WAL")
        self._sql.execute("PRAGMA synchronous = FULL")  # what was said to be done stays done when the power goes
        with self._writing():
            if self._number("PRAGMA user_version") == 0 and not self._number("SELECT count(*) FROM sqlite_master"):
                for statement in _TABLES.strip().split(";\n"):
                    self._sql.execute(statement)
                self._sql.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._sql.execute(f"PRAGMA user_version = {_SCHEMA}")

    def _check(self) -> None:
        if self._number("PRAGMA application_id") != _APPLICATION:
            raise EvidenceError(f"{self.path.name} is not the store of a sweep", where=str(self.path))
        if (version := self._number("PRAGMA user_version")) != _SCHEMA:
            raise EvidenceError(f"{self.path.name} is of version {version}", what=f"this edgekit reads version {_SCHEMA}")

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Make all of a change or none of it.

        :raises OutputError: the disk is full, or another process has not let go of the file for a minute.
        """
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            yield
            self._sql.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise OutputError(f"{self.path.name} cannot be written", where=str(self.path.parent), why=str(error)) from error
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")

    def _asked(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a question.

        :raises EvidenceError: the file is damaged.
        """
        try:
            return self._sql.execute(query, values).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:  # also of text that is none
            raise EvidenceError(f"{self.path.name} cannot be read", where=str(self.path.parent), why=str(error)) from error

    def _number(self, query: str, *values: Any) -> int:
        ((found,),) = self._asked(query, *values)
        if not isinstance(found, int):
            raise EvidenceError(f"{self.path.name} holds a row that no sweep wrote", what=str(found)[:80])
        return found

    def record(self, attempt: Attempt, owner: str) -> bool:
        """Add an attempt and give its claim back, in one step; ``False``: the cell was done already, and this one is left out."""
        row = (
            attempt.key,
            attempt.kind,
            _text(attempt.cell),
            attempt.status,
            None if attempt.result is None else _text(attempt.result),
            attempt.predictions,
            attempt.error,
            attempt.seconds,
            attempt.machine,
            moment(),
        )
        with self._writing():
            self._sql.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (attempt.key, owner))
            if self._number("SELECT count(*) FROM attempts WHERE key = ? AND status = 'done'", attempt.key):
                return False
            columns = "key, kind, cell, status, result, predictions, error, seconds, machine, ended"
            self._sql.execute(f"INSERT INTO attempts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608  no value in it
        return True

    def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Say that a cell is being worked on; ``False``: it is done, or another run works on it."""
        now = time.time()
        with self._writing():
            if self._number("SELECT count(*) FROM attempts WHERE key = ? AND status = 'done'", key):
                return False
            held = self._asked("SELECT owner FROM claims WHERE key = ? AND until > ?", key, now)
            if held and held[0][0] != owner and _may_live(held[0][0]):
                return False
            self._sql.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (key, owner, now + seconds))
        return True

    def renew(self, owner: str, seconds: float) -> None:
        """Say that all that was claimed is still being worked on."""
        with self._writing():
            self._sql.execute("UPDATE claims SET until = ? WHERE owner = ?", (time.time() + seconds, owner))

    def release(self, owner: str) -> None:
        """Give all claims back."""
        with self._writing():
            self._sql.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    def statuses(self) -> dict[str, str]:
        """Return by key ``done`` or ``failed``: what the last attempt came to."""
        return {key: status for key, status in self._asked("SELECT key, status FROM attempts ORDER BY id")}  # noqa: C416

    def last_id(self) -> int:
        """Return a number that every later attempt is above."""
        return self._number("SELECT coalesce(max(id), 0) FROM attempts")

    def failed_since(self, number: int) -> set[str]:
        """Return the cells of failed attempts above a number."""
        return {row[0] for row in self._asked("SELECT key FROM attempts WHERE id > ? AND status = 'failed'", number)}

    def last(self, key: str) -> Attempt | None:
        """Return the last attempt at a cell; ``None``: there is none.

        :raises EvidenceError: the row is none that a sweep wrote.
        """
        columns = "key, kind, cell, status, result, predictions, error, seconds, machine"
        rows = self._asked(f"SELECT {columns} FROM attempts WHERE key = ? ORDER BY id DESC LIMIT 1", key)  # noqa: S608
        if not rows:
            return None
        key, kind, cell, status, result, predictions, error, seconds, machine = rows[0]
        found = None if result is None else self._object(result)
        return Attempt(
            key=key,
            kind=kind,
            cell=self._object(cell),
            status=status,
            result=found,
            predictions=predictions,
            error=error,
            seconds=seconds,
            machine=machine,
        )

    def durations(self) -> list[tuple[Mapping[str, Any], float]]:
        """Return what each cell that is done was, and the seconds it took."""
        return [(self._object(cell), seconds) for cell, seconds in self._asked("SELECT cell, seconds FROM attempts WHERE status = 'done'")]

    def counts(self) -> dict[str, int]:
        """Return how many attempts are done, and how many failed."""
        return {status: count for status, count in self._asked("SELECT status, count(*) FROM attempts GROUP BY status")}  # noqa: C416

    def add_plan(self, name: str, plan: Mapping[str, Any]) -> None:
        """Keep what a run asks for."""
        with self._writing():
            self._sql.execute("INSERT INTO plans (name, began, plan) VALUES (?, ?, ?)", (name, moment(), _text(plan)))

    def plans(self) -> dict[str, dict[str, Any]]:
        """Return what the last run of every sweep asked for, by the sweep's name.

        :raises EvidenceError: a row is none that a sweep wrote.
        """
        return {name: self._object(plan) for name, plan in self._asked("SELECT name, plan FROM plans ORDER BY id")}

    def _object(self, text: Any) -> dict[str, Any]:
        try:
            value = json.loads(text) if len(text) <= _MOST_TEXT else None
        except (ValueError, TypeError, RecursionError) as error:
            raise EvidenceError(f"{self.path.name} holds a row that no sweep wrote", why=f"{type(error).__name__}: {error}") from error
        if not isinstance(value, dict):
            raise EvidenceError(f"{self.path.name} holds a row that no sweep wrote", what=str(text)[:80])
        return value


def new_owner() -> str:
    """Return a name for a run of this process, unlike any other's: the machine's, the process's number, and chance."""
    return f"{platform.node()} {os.getpid()} {uuid.uuid4().hex}"


def _may_live(owner: str) -> bool:
    """Whether a run may still be going on: of another machine nobody can tell, of this one a process that is gone says no."""
    node, _, rest = owner.rpartition(" ")[0].rpartition(" ")
    number = rest if node == platform.node() and rest.isdecimal() else None
    if number is None:
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True, allow_nan=False)


def moment() -> str:
    """Return this moment, UTC, ``2026-11-21T18:40:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
