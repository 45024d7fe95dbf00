"""Where the server keeps what must survive it: one SQLite file.

A commit is in the operating system's hands when it returns, so killing the process loses nothing that was
acknowledged; only the machine's own death may (``synchronous=OFF``).
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Store:
    """One SQLite file in ``directory``, written by one thread at a time and read by any."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._path = directory / "state.sqlite3"
        self._write_lock = threading.RLock()
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=60)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            self._local.connection = connection
        return connection

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        return self.connection().execute(sql, parameters).fetchall()

    def clear(self) -> None:
        """Empty all tables and give the space back."""
        with self.write() as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            for (name,) in tables:
                connection.execute(f'DELETE FROM "{name}"')  # noqa: S608 - names of our own schema
        # While another thread reads, the file can't shrink; its space is then used again.
        with self._write_lock, suppress(sqlite3.OperationalError):
            self.connection().execute("VACUUM")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; nested calls of one thread join the outer one."""
        with self._write_lock:
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
