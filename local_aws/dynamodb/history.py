"""The change history of every table: what each key held, and from when on.

One row a change, in one SQLite file of its own, so that loading a million items keeps no queue waiting. A
key's state at an instant is its latest change at or before it; the live table is the state now. Times are
microseconds since the epoch. A key has one state an instant: a second change of the same key and time takes
the place of the first.
"""

import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType

from local_aws.store import Store

Microseconds = NewType("Microseconds", int)
TableNumber = NewType("TableNumber", int)
Row = tuple[bytes, bytes, str]
LoadedChange = tuple[TableNumber, bytes, bytes, Microseconds, bytes | None]
Bound = tuple[str, tuple[bytes, ...]]

SECOND = 1_000_000
NOW = Microseconds(2**62)  # later than every change
EVER = Microseconds(0)
_PAGE_BYTES = 16 * 1024
_JOURNAL_BYTES = 64 * 1024 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tables (
    number INTEGER PRIMARY KEY AUTOINCREMENT, arn TEXT NOT NULL UNIQUE, id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS changes (
    sequence INTEGER PRIMARY KEY, "table" INTEGER NOT NULL,
    hash BLOB NOT NULL, range BLOB NOT NULL, time INTEGER NOT NULL, streamed INTEGER NOT NULL, item TEXT,
    identity TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS changes_of_a_key ON changes ("table", hash, range, time);
CREATE INDEX IF NOT EXISTS streams ON changes ("table", sequence) WHERE streamed;
"""
_RECORD = """
INSERT INTO changes ("table", hash, range, time, streamed, item, identity)
VALUES (?, ?, ?, ?, {streamed:d}, CAST(? AS TEXT), {identity})
ON CONFLICT ("table", hash, range, time) DO UPDATE SET item = excluded.item, identity = excluded.identity
"""
# The latest change of each key. The index has the groups in order: nothing is sorted, reading stops anywhere.
_LATEST = """
SELECT sequence, hash, range, max(time) FROM changes
WHERE "table" = ? AND time <= ? {bounds} GROUP BY hash, range {order}
"""


class Clock:
    """The time now, never twice the same and never going back: the order of writes is the order of times."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._lock = threading.Lock()

    def now(self) -> Microseconds:
        """A time later than every time given before."""
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return Microseconds(self._last)


@dataclass(frozen=True)
class Change:
    """One change as a stream tells it: JSON of the item before and after, None where there was none.

    ``identity`` is the service that made it, None for a user.
    """

    sequence: int
    time: Microseconds
    old: str | None
    new: str | None
    identity: str | None = None


@dataclass(frozen=True)
class TableIdentity:
    """A table in the history: ``number`` finds its changes, ``id`` is DynamoDB's TableId."""

    number: TableNumber
    id: str


class History:
    """All changes of all tables."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory)
        connection = self.store.connection()
        if not self.store.read("SELECT 1 FROM sqlite_schema"):
            # Items are long for the default page, which costs a load a third of its time. WAL fixes the size.
            for pragma in ("PRAGMA journal_mode=DELETE", f"PRAGMA page_size={_PAGE_BYTES}", "VACUUM"):
                connection.execute(pragma)
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES}")
        connection.executescript(_SCHEMA)
        columns = {name for _, name, *_ in self.store.read("PRAGMA table_info(changes)")}
        if "identity" not in columns:  # a state directory of before there were identities
            connection.execute("ALTER TABLE changes ADD COLUMN identity TEXT")
        self.clock = Clock(self.store.read("SELECT coalesce(max(time), 0) FROM changes")[0][0])
        self._local = threading.local()
        self._writes = 0
        self.written = threading.Condition()
        self._counts: dict[TableNumber, tuple[int, int]] = {}

    @contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, Microseconds]]:
        """One atomic write: all that it records has one time, and an exception undoes all of it.

        Nested writes of one thread join the outermost.
        """
        outer: Microseconds | None = getattr(self._local, "time", None)
        if outer is not None:
            yield self.store.connection(), outer
            return
        with self.store.write() as connection:
            self._local.time = self.clock.now()
            try:
                yield connection, self._local.time
            finally:
                self._local.time = None
        # Behind the commit: a count that was begun before it is then not taken for the new state's.
        self._writes += 1
        with self.written:
            self.written.notify_all()

    def table(self, arn: str, *, fresh: bool) -> TableIdentity:
        """The table's identity; ``fresh`` begins a new table without a past."""
        with self.writing() as (connection, _):
            if fresh:
                self.drop(arn)
            elif found := connection.execute(
                "SELECT number, id FROM tables WHERE arn = ?", (arn,)
            ).fetchone():
                return TableIdentity(*found)
            identity = str(uuid.uuid4())
            cursor = connection.execute("INSERT INTO tables (arn, id) VALUES (?, ?)", (arn, identity))
            return TableIdentity(TableNumber(cursor.lastrowid or 0), identity)

    def drop(self, arn: str) -> None:
        """Forget the table and all its changes."""
        with self.writing() as (connection, _):
            for (number,) in connection.execute("SELECT number FROM tables WHERE arn = ?", (arn,)).fetchall():
                connection.execute('DELETE FROM changes WHERE "table" = ?', (number,))
                connection.execute("DELETE FROM tables WHERE number = ?", (number,))

    def copy(self, source: TableNumber, target: TableNumber, time: Microseconds) -> None:
        """Write what ``source`` held at ``time`` to ``target``."""
        latest = _LATEST.format(bounds="", order="")
        with self.writing() as (connection, now):
            connection.execute(
                f"""
                INSERT INTO changes ("table", hash, range, time, streamed, item)
                SELECT ?, changes.hash, changes.range, ?, 0, item
                FROM ({latest}) CROSS JOIN changes USING (sequence) WHERE item IS NOT NULL
                """,  # noqa: S608  # no value in it
                (target, now, source, time),
            )

    def record(
        self,
        table: TableNumber,
        hash_: bytes,
        range_: bytes,
        item: bytes | None,
        *,
        streamed: bool,
        identity: str | None = None,
    ) -> None:
        """One change at the time of the current write; ``item`` None is a deletion."""
        with self.writing() as (connection, now):
            statement = _RECORD.format(streamed=streamed, identity="?")
            connection.execute(statement, (table, hash_, range_, now, item, identity))

    def load(self, connection: sqlite3.Connection, changes: Iterable[LoadedChange]) -> None:
        """Changes with times of their own; streams don't see them."""
        connection.executemany(_RECORD.format(streamed=0, identity="NULL"), changes)

    def item(self, table: TableNumber, hash_: bytes, range_: bytes) -> str | None:
        """What the key holds now."""
        rows = self.store.read(
            """
            SELECT item FROM changes WHERE "table" = ? AND hash = ? AND range = ? ORDER BY time DESC LIMIT 1
            """,
            (table, hash_, range_),
        )
        return rows[0][0] if rows else None

    def rows(
        self,
        table: TableNumber,
        *,
        bounds: Sequence[Bound] = (),
        where: str = "",
        values: Sequence[Any] = (),
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Live items as (hash, range, JSON) in key order.

        ``bounds`` are conditions on ``hash`` and ``range`` with their values, such as
        ``("hash = ?", (b"…",))``; ``where`` is one on ``item`` with ``values`` for its marks.
        """
        latest = _LATEST.format(
            bounds="".join(f" AND {condition}" for condition, _ in bounds),
            order="ORDER BY hash DESC, range DESC" if reverse else "",
        )
        parameters = [table, NOW, *(value for _, bound in bounds for value in bound), *values]
        sql = f"""
        SELECT latest.hash, latest.range, item FROM ({latest}) AS latest CROSS JOIN changes USING (sequence)
        WHERE item IS NOT NULL {where}
        """  # noqa: S608  # conditions are this package's own; values go in by marks
        cursor = self.store.connection().execute(sql, parameters)
        try:
            yield from cursor
        finally:
            cursor.close()

    def count(self, table: TableNumber) -> int:
        """How many items the table holds now; counted again only after a write to any table."""
        writes, known = self._counts.get(table, (-1, 0))
        if writes == self._writes:
            return known
        writes = self._writes
        latest = _LATEST.format(bounds="", order="")
        sql = f"SELECT count(*) FROM ({latest}) CROSS JOIN changes USING (sequence) WHERE item IS NOT NULL"  # noqa: S608  # no value in it
        known = int(self.store.read(sql, (table, NOW))[0][0])
        self._counts[table] = (writes, known)
        return known

    def changes(
        self, table: TableNumber, start: int, quantity: int, since: Microseconds = EVER
    ) -> list[Change]:
        """Changes that a stream saw, from sequence number ``start`` and time ``since`` on, in the order they
        were written.
        """
        rows = self.store.read(
            """
            SELECT sequence, time, (
                SELECT item FROM changes AS before WHERE before."table" = after."table"
                AND before.hash = after.hash AND before.range = after.range AND before.time < after.time
                ORDER BY before.time DESC LIMIT 1
            ), item, identity
            FROM changes AS after WHERE "table" = ? AND streamed AND sequence >= ? AND time >= ?
            ORDER BY sequence LIMIT ?
            """,
            (table, start, since, quantity),
        )
        return [Change(*row) for row in rows]

    def change_time(self, table: TableNumber, sequence: int) -> Microseconds | None:
        """When the first streamed change at or after ``sequence`` was made; None when there is none."""
        rows = self.store.read(
            'SELECT time FROM changes WHERE "table" = ? AND streamed AND sequence >= ?'
            " ORDER BY sequence LIMIT 1",
            (table, sequence),
        )
        return rows[0][0] if rows else None

    def last_sequence(self, table: TableNumber) -> int:
        """The sequence number of the last change that a stream saw; 0 when there is none."""
        sql = 'SELECT coalesce(max(sequence), 0) FROM changes WHERE "table" = ? AND streamed'
        return int(self.store.read(sql, (table,))[0][0])

    @contextmanager
    def snapshot(self, table: TableNumber, time: Microseconds) -> Iterator["Snapshot"]:
        """The table's state as of ``time``, that instant included. What is written meanwhile is not seen."""
        connection = self.store.connection()
        connection.execute("BEGIN")
        try:
            connection.execute("CREATE TEMP TABLE picked (sequence INTEGER PRIMARY KEY)")
            latest = _LATEST.format(bounds="", order="")
            # In the order of writing, so that the items are read from the file from front to end.
            connection.execute(
                f"INSERT INTO picked SELECT sequence FROM ({latest}) ORDER BY sequence",  # noqa: S608  # no value in it
                (table, time),
            )
            yield Snapshot(connection)
        finally:
            connection.execute("ROLLBACK")


class Snapshot:
    """The rows that make up a table's state at one instant."""

    _FROM = "FROM picked CROSS JOIN changes USING (sequence) WHERE item IS NOT NULL"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def json_bytes(self) -> int:
        """How long all items are as JSON, nearly: SQLite counts characters."""
        sql = f"SELECT coalesce(sum(length(item)), 0) {self._FROM}"
        return int(self._connection.execute(sql).fetchone()[0])

    def rows(self, batch: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """(partition key, line of the export), ``batch`` at a time."""
        sql = f"SELECT hash, CAST('{{\"Item\":' || item || '}}' || char(10) AS BLOB) {self._FROM}"
        cursor = self._connection.execute(sql)
        while rows := cursor.fetchmany(batch):
            yield rows
