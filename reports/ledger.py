"""The results file: runs and their verdicts in one SQLite database. Nothing stored is ever executed.

Standard library only, since conftest.py imports it before the first example.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from reports.exports import read_export, write_export
from reports.rows import PASSES, SCHEMA, VERDICTS, LedgerError, Row, Run, fails, new_id, unanswered, utc_now

__all__ = [
    "FILE", "PASSES", "SCHEMA", "VERDICTS", "Ledger", "LedgerError", "Row", "Run", "export", "fails", "import_run",
    "new_id", "read", "read_export", "rows", "runs", "unanswered", "utc_now", "write_export",
]  # fmt: skip

FILE = "verdicts.sqlite"
APPLICATION = int.from_bytes(b"POOL")  # PRAGMA application_id: a foreign SQLite file is recognised, and left alone


class Ledger:
    """The results file, open for writing. Every call commits: a killed run loses nothing that was reached."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Ledger:
        """Create or open a folder's results file. Raises LedgerError, and leaves the file alone, if it is not ours."""
        path = Path(directory) / FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{path.parent}: cannot hold results ({error.strerror}): {_ELSEWHERE}") from error
        with _in_words(path):
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            try:
                _create_if_new(connection)
                _expect_ours(connection, path)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                with suppress(sqlite3.OperationalError):  # a run beside this one sets it at this moment: either will do
                    connection.execute("PRAGMA journal_mode = WAL")
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    def begin(self, run: Run) -> None:
        """Enter a run. Raises LedgerError if its id is taken."""
        with self._transaction() as connection:
            if _holds(connection, run.id):
                raise LedgerError(f"{self.path}: already holds a run {run.id}")
            _insert(connection, "run", _run_record(run))

    def plan(self, run_id: str, checks: Iterable[Row]) -> None:
        """Enter what a run sets out to check, as `unanswered` rows: what never answers stays, and is not forgotten."""
        with self._transaction(run_id) as connection:
            for row in checks:
                if not connection.execute(f"SELECT 1 FROM verdict WHERE {_CHECK}", (run_id, *row.check())).fetchone():
                    _insert(connection, "verdict", {"run": run_id} | dataclasses.asdict(row))
            count = (
                "SELECT count(*) FROM (SELECT DISTINCT property, operation, implementation FROM verdict WHERE run = ?)"
            )
            connection.execute(f"UPDATE run SET planned = ({count}) WHERE id = ?", (run_id, run_id))

    def add(self, run_id: str, rows: Iterable[Row]) -> None:
        """Enter rows of a run; a row with the same key is replaced, and so is the unanswered one of its check.

        Raises LedgerError if the run was never begun.
        """
        with self._transaction(run_id) as connection:
            for row in rows:
                if not _answer(connection, run_id, row):
                    _insert(connection, "verdict", {"run": run_id} | dataclasses.asdict(row))

    def read(self, run_id: str) -> tuple[Run, list[Row]]:
        """Return a run and its rows as they stand now."""
        with _in_words(self.path):
            return _read(self._connection, run_id, self.path)

    def finish(self, run_id: str, exit_status: int) -> None:
        """Mark a run as ended by itself."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE run SET finished = ?, exit_status = ? WHERE id = ?", (utc_now(), int(exit_status), run_id)
            )

    def close(self) -> None:
        """Close the file; what was entered is on disk already."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, run_id: str | None = None) -> Iterator[sqlite3.Connection]:
        """Do all or nothing. Raises LedgerError if the run that is named was never begun."""
        with _in_words(self.path), self._connection:  # commits, or rolls back on any exception
            self._connection.execute("BEGIN IMMEDIATE")
            if run_id is not None and not _holds(self._connection, run_id):
                raise LedgerError(f"{self.path}: holds no run {run_id}: begin it before adding rows")
            yield self._connection


def runs(directory: str | os.PathLike[str]) -> list[Run]:
    """List the runs of a results folder, the oldest first."""
    with _reading(Path(directory) / FILE) as connection:
        return _runs(connection)


def rows(directory: str | os.PathLike[str], run_id: str | None = None) -> list[Row]:
    """Return the rows of one run, or of the latest, in the order in which they were planned or entered."""
    return read(directory, run_id)[1]


def read(where: str | os.PathLike[str], run_id: str | None = None) -> tuple[Run, list[Row]]:
    """Return a run (the latest if unnamed) and its rows, from a results folder or from an exported .jsonl file."""
    if Path(where).suffix == ".jsonl":
        run, content = read_export(where)
        return _choose([run], run_id, Path(where)), content
    if Path(where).is_file():
        raise LedgerError(f"{where}: a file: the folder of {FILE} is wanted, or a .jsonl file that --export wrote")
    path = Path(where) / FILE
    with _reading(path) as connection:
        return _read(connection, run_id, path)


def export(directory: str | os.PathLike[str], run_id: str | None, file: str | os.PathLike[str]) -> None:
    """Write one run (None: the latest) as JSON lines, for samples kept in git."""
    write_export(*read(directory, run_id), file)


def import_run(file: str | os.PathLike[str], directory: str | os.PathLike[str]) -> Run:
    """Enter an exported run into a results folder, whole or not at all."""
    run, content = read_export(file)
    with Ledger.open(directory) as ledger, ledger._transaction() as connection:
        if _holds(connection, run.id):
            raise LedgerError(f"{ledger.path}: already holds the run {run.id} of {file}")
        _insert(connection, "run", _run_record(run))
        for row in content:
            _insert(connection, "verdict", {"run": run.id} | dataclasses.asdict(row))
    return run


_ELSEWHERE = "move it away, or name another folder with --results"
_OTHER_VERSION = "read it with the version that wrote it, or name another folder with --results"
_TABLES = """
CREATE TABLE run (
    id TEXT PRIMARY KEY NOT NULL, started TEXT NOT NULL, command TEXT NOT NULL, seed TEXT NOT NULL,
    profile TEXT NOT NULL, machine TEXT NOT NULL, versions TEXT NOT NULL, implementations TEXT NOT NULL,
    finished TEXT, exit_status INTEGER, planned INTEGER
);
CREATE TABLE verdict (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    property TEXT NOT NULL, title TEXT NOT NULL, level TEXT NOT NULL, operation TEXT NOT NULL, dtype TEXT NOT NULL,
    implementation TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    examples INTEGER NOT NULL, elements INTEGER NOT NULL, unsupported INTEGER NOT NULL, mistrusted INTEGER NOT NULL,
    integers INTEGER NOT NULL, missed REAL NOT NULL, worst_ratio REAL, nearness TEXT NOT NULL, "case" TEXT NOT NULL,
    message TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (run, property, operation, dtype, implementation)
);
"""
_CHECK = "run = ? AND property = ? AND operation = ? AND implementation = ?"
_JSON_COLUMNS = ("seed", "machine", "versions", "implementations")  # a Hypothesis seed may exceed SQLite's 64 bits


def _holds(connection: sqlite3.Connection, run_id: str) -> bool:
    return connection.execute("SELECT 1 FROM run WHERE id = ?", (run_id,)).fetchone() is not None


def _insert(connection: sqlite3.Connection, table: str, record: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in record)
    verb = "INSERT" if table == "run" else "INSERT OR REPLACE"  # a run is entered once; a row is replaced
    places = ", ".join("?" * len(record))
    connection.execute(f"{verb} INTO {table} ({columns}) VALUES ({places})", tuple(record.values()))


def _answer(connection: sqlite3.Connection, run_id: str, row: Row) -> bool:
    """Turn the unanswered row of a check into what was found, in its place, so that rows keep the order of the plan."""
    record = dataclasses.asdict(row)
    places = ", ".join(f'"{name}" = ?' for name in record)
    statement = f"UPDATE OR REPLACE verdict SET {places} WHERE {_CHECK} AND verdict = 'no verdict'"
    return connection.execute(statement, (*record.values(), run_id, *row.check())).rowcount > 0


def _run_record(run: Run) -> dict[str, Any]:
    record = run.to_json()
    return record | {name: json.dumps(record[name], allow_nan=False) for name in _JSON_COLUMNS}


def _runs(connection: sqlite3.Connection) -> list[Run]:
    names = [each.name for each in dataclasses.fields(Run)]
    found = connection.execute(f"SELECT {', '.join(names)} FROM run ORDER BY started, rowid")
    records = [dict(zip(names, values, strict=True)) for values in found]
    return [Run.from_json(record | {name: json.loads(record[name]) for name in _JSON_COLUMNS}) for record in records]


def _read(connection: sqlite3.Connection, run_id: str | None, path: Path) -> tuple[Run, list[Row]]:
    run = _choose(_runs(connection), run_id, path)
    columns = ", ".join(f'"{each.name}"' for each in dataclasses.fields(Row))
    found = connection.execute(f"SELECT {columns} FROM verdict WHERE run = ? ORDER BY rowid", (run.id,))
    return run, [Row(*values) for values in found]


def _choose(found: list[Run], run_id: str | None, path: Path) -> Run:
    if not found:
        _no_results(path)
    if run_id is None:
        return found[-1]
    for run in found:
        if run.id == run_id:
            return run
    ids = [run.id for run in found]
    near = difflib.get_close_matches(run_id, ids, n=1) or ids[-1:]
    raise LedgerError(f"{path}: holds no run {run_id!r} among its {len(ids)}: did you mean {near[0]}?")


def _is_new(connection: sqlite3.Connection) -> bool:
    no_tables = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    return no_tables and connection.execute("PRAGMA application_id").fetchone() == (0,)


def _create_if_new(connection: sqlite3.Connection) -> None:
    if not _is_new(connection):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _is_new(connection):  # still: no other run was faster
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _expect_ours(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    schema = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise LedgerError(f"{path}: an SQLite file of another program (application id {application:#x}): {_ELSEWHERE}")
    if schema != SCHEMA:
        age = "a newer" if schema > SCHEMA else "an older"
        raise LedgerError(f"{path}: of {age} version (schema {schema}, this one has schema {SCHEMA}): {_OTHER_VERSION}")
    findings = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if findings != "ok":
        raise sqlite3.DatabaseError(" ".join(findings.split()))


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        if not path.stat().st_size:
            _no_results(path)
    except (FileNotFoundError, NotADirectoryError):
        _no_results(path)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read ({error.strerror})") from error
    with _in_words(path), closing(_connect_to_read(path)) as connection:
        _expect_ours(connection, path)
        connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        except (TypeError, ValueError) as error:
            raise LedgerError(f"{path}: holds what this version cannot read ({error}): {_OTHER_VERSION}") from error


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Open for reading. A write-ahead log needs its side files: in a folder without write permission there are none."""
    uri = path.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=30, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:  # rows are waiting in it, and it cannot be read from here
            raise
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into one line that names the file and the remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, disk full, no permission: the file itself is sound
        raise LedgerError(f"{path}: cannot be used now ({error}): {_ELSEWHERE}") from error
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path}: truncated, or not a results file ({error}), left as it is: {_ELSEWHERE}") from error


def _no_results(path: Path) -> NoReturn:
    raise LedgerError(f"{path}: no results yet: run pytest properties/, or name another folder with --results")
