"""Messages of all queues, in the store. Every call touches an index's range of what it returns, never the
whole queue.

A queue is known here by a number. Purging or deleting one takes the number away: its messages are litter from
then on and are swept up in small bites, so that neither takes longer for a long queue.

Times are milliseconds since 1970.
"""

import sqlite3
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from local_aws.context import Context

IN_FLIGHT_LIMIT = 120_000
DEDUPLICATION_MS = 300_000
LONGEST_HIDDEN_MS = 43_200_000
_BITE = 1_000
_FIRST_SEQUENCE = 10**19

SCHEMA = """
CREATE TABLE IF NOT EXISTS sqs_queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT UNIQUE,
    total INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS sqs_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    receives INTEGER NOT NULL DEFAULT 0,
    message_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    first_received_at INTEGER,
    received_at INTEGER,
    group_id TEXT,
    deduplication_id TEXT,
    source TEXT,
    system TEXT,
    attributes TEXT,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sqs_visible ON sqs_messages (queue, visible_at, receives);
CREATE INDEX IF NOT EXISTS sqs_sent ON sqs_messages (queue, sent_at);
CREATE INDEX IF NOT EXISTS sqs_group ON sqs_messages (queue, group_id, visible_at, receives)
    WHERE group_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS sqs_deduplication (
    queue INTEGER NOT NULL,
    deduplication_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sequence TEXT NOT NULL,
    PRIMARY KEY (queue, deduplication_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sqs_deduplication_sent ON sqs_deduplication (queue, sent_at);
"""

_COLUMNS = (
    "id, receives, message_id, sent_at, first_received_at, group_id, deduplication_id, source, system,"
    " attributes, body"
)

# The messages that a standard queue may give now, longest visible first.
RECEIVE = f"""
SELECT {_COLUMNS} FROM sqs_messages INDEXED BY sqs_visible
WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, receives LIMIT ?
"""  # noqa: S608 - names of our own

# Those of a FIFO queue: in order, and none of a group that has a message in flight.
RECEIVE_FIFO = f"""
SELECT {_COLUMNS} FROM sqs_messages AS m INDEXED BY sqs_sent
WHERE queue = ? AND visible_at <= ? AND NOT EXISTS (
    SELECT 1 FROM sqs_messages AS other INDEXED BY sqs_group
    WHERE other.queue = m.queue AND other.group_id = m.group_id
        AND other.visible_at > ? AND other.receives > 0
)
ORDER BY sent_at, id LIMIT ?
"""  # noqa: S608 - names of our own

RECEIVED = """
UPDATE sqs_messages SET visible_at = ?, receives = ?, first_received_at = ?, received_at = ? WHERE id = ?
"""
SENT_BACK = """
UPDATE sqs_messages SET queue = ?, visible_at = ?, sent_at = ?, receives = 0, message_id = ?,
    first_received_at = NULL, received_at = NULL, source = NULL WHERE id = ?
"""
DELETE = "DELETE FROM sqs_messages WHERE queue = ? AND id = ? AND message_id = ? RETURNING group_id"
NEXT_VISIBLE = (
    "SELECT min(visible_at) FROM sqs_messages INDEXED BY sqs_visible WHERE queue = ? AND visible_at > ?"
)
EXPIRED = "SELECT id FROM sqs_messages INDEXED BY sqs_sent WHERE queue = ? AND sent_at < ? LIMIT ?"
OLDEST = "SELECT min(sent_at) FROM sqs_messages INDEXED BY sqs_sent WHERE queue = ?"
HIDDEN = """
SELECT count(*), coalesce(sum(receives > 0), 0) FROM sqs_messages INDEXED BY sqs_visible
WHERE queue = ? AND visible_at > ?
"""
LITTER = "SELECT id FROM sqs_queues WHERE arn IS NULL ORDER BY id LIMIT 1"
LITTERED = "SELECT id FROM sqs_messages INDEXED BY sqs_visible WHERE queue = ? LIMIT ?"


class TooManyInFlight(Exception):  # noqa: N818 - it is the limit's name
    """The queue has as many messages in flight as SQS allows."""


@dataclass(frozen=True)
class Receiving:
    """How a queue gives its messages: retention in milliseconds, and where those go that fail too often."""

    fifo: bool
    retention: int
    max_receives: int | None = None
    dead_letters: str | None = None


@dataclass
class Stored:
    """A message as the store has it; ``attributes`` and ``system`` are JSON."""

    id: int
    receives: int
    message_id: str
    sent_at: int
    first_received_at: int | None
    group_id: str | None
    deduplication_id: str | None
    source: str | None
    system: str | None
    attributes: str | None
    body: str
    queue: int = 0

    @property
    def sequence(self) -> str | None:
        """The sequence number of a FIFO queue's message."""
        return None if self.group_id is None else str(_FIRST_SEQUENCE + self.id)


@dataclass(frozen=True)
class New:
    """A message to be sent; ``deduplicate`` is the id under which FIFO queues know it for five minutes."""

    message_id: str
    body: str
    sent_at: int
    delay: int = 0
    attributes: str | None = None
    system: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    deduplicate: str | None = None


@dataclass(frozen=True)
class Sent:
    """What a FIFO queue made of a message: the first one's id and sequence when it was sent before."""

    message_id: str
    sequence: str


@dataclass(frozen=True)
class Counts:
    """Messages of a queue: those to be had, those in flight, those still delayed."""

    visible: int
    in_flight: int
    delayed: int


class _Arrivals:
    """Wakes those who wait for a queue's messages."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._seen = 0

    @property
    def mark(self) -> int:
        return self._seen

    def announce(self) -> None:
        with self._condition:
            self._seen += 1
            self._condition.notify_all()

    def wait(self, mark: int, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._seen != mark, timeout=seconds)


def now_ms() -> int:
    """The time in milliseconds."""
    return time.time_ns() // 1_000_000


class Messages:
    """The messages of all queues; queues are named by ARN."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        with self._store.write() as connection:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
        self._numbers: dict[str, int] = {}
        self._in_flight_at_most: dict[int, int] = {}
        self._arrivals: defaultdict[str, _Arrivals] = defaultdict(_Arrivals)
        self._litter = threading.Event()
        self._stopping = False

    # --- sending

    def send(self, arn: str, messages: Sequence[New]) -> list[Sent | None]:
        """Put messages into a queue. For FIFO queues tells what became of each.

        Within a journaled request they are sent when it is journaled.
        """
        results: list[Sent | None] = []

        def write(connection: sqlite3.Connection) -> None:
            queue = self._number(connection, arn)
            results.extend(self._insert(connection, queue, message) for message in messages)

        self._context.commit(write, self._arrivals[arn].announce)
        return results or [None] * len(messages)

    def _insert(self, connection: sqlite3.Connection, queue: int, message: New) -> Sent | None:
        if message.deduplicate is not None:
            connection.execute(
                "DELETE FROM sqs_deduplication WHERE queue = ? AND sent_at <= ?",
                (queue, message.sent_at - DEDUPLICATION_MS),
            )
            earlier = connection.execute(
                "SELECT message_id, sequence FROM sqs_deduplication WHERE queue = ? AND deduplication_id = ?",
                (queue, message.deduplicate),
            ).fetchone()
            if earlier:
                return Sent(*earlier)
        row = connection.execute(
            "INSERT INTO sqs_messages (queue, visible_at, message_id, sent_at, group_id, deduplication_id,"
            " system, attributes, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                queue,
                message.sent_at + message.delay,
                message.message_id,
                message.sent_at,
                message.group_id,
                message.deduplication_id,
                message.system,
                message.attributes,
                message.body,
            ),
        ).lastrowid
        connection.execute("UPDATE sqs_queues SET total = total + 1 WHERE id = ?", (queue,))
        if message.deduplicate is None or row is None:
            return None
        sent = Sent(message.message_id, str(_FIRST_SEQUENCE + row))
        connection.execute(
            "INSERT INTO sqs_deduplication VALUES (?, ?, ?, ?, ?)",
            (queue, message.deduplicate, message.sent_at, sent.message_id, sent.sequence),
        )
        return sent

    # --- receiving

    def receive(self, arn: str, how: Receiving, count: int, visibility: int, wait: float) -> list[Stored]:
        """Up to ``count`` messages, hidden for ``visibility`` milliseconds; waits ``wait`` seconds for one.

        Raises TooManyInFlight.
        """
        deadline = time.monotonic() + wait
        arrivals = self._arrivals[arn]
        while True:
            mark = arrivals.mark
            found = self._take(arn, how, count, visibility)
            left = deadline - time.monotonic()
            if found or left <= 0 or self._stopping:
                return found
            soonest = self._next_visible(arn)
            if soonest is not None:
                left = min(left, max(soonest - now_ms(), 0) / 1000 + 0.001)
            arrivals.wait(mark, left)

    def _take(self, arn: str, how: Receiving, count: int, visibility: int) -> list[Stored]:
        now = now_ms()
        queue = self._numbers.get(arn) or self._known(arn)
        if queue is None or not self._candidates(self._store.connection(), queue, how, now, 1):
            return []
        moved: set[str] = set()
        with self._store.write() as connection:
            queue = self._number(connection, arn)
            while self._expire(connection, queue, now - how.retention):
                pass
            self._admit(connection, queue, count, now)
            taken = self._candidates(connection, queue, how, now, count)
            while how.max_receives is not None and how.dead_letters is not None:
                dead = [message for message in taken if message.receives >= how.max_receives]
                if not dead:
                    break
                self._bury(connection, arn, dead, how.dead_letters, now)
                moved.add(how.dead_letters)
                taken = self._candidates(connection, queue, how, now, count)
            for message in taken:
                message.queue = queue
                message.receives += 1
                message.first_received_at = message.first_received_at or now
            connection.executemany(
                RECEIVED,
                [(now + visibility, m.receives, m.first_received_at, now, m.id) for m in taken],
            )
            self._in_flight_at_most[queue] += len(taken)
        for target in moved:
            self._arrivals[target].announce()
        return taken

    @staticmethod
    def _candidates(
        connection: sqlite3.Connection, queue: int, how: Receiving, now: int, count: int
    ) -> list[Stored]:
        if how.fifo:
            rows = connection.execute(RECEIVE_FIFO, (queue, now, now, count))
        else:
            rows = connection.execute(RECEIVE, (queue, now, count))
        return [Stored(*row) for row in rows]

    def _admit(self, connection: sqlite3.Connection, queue: int, count: int, now: int) -> None:
        """Keep to the limit of messages in flight; they are counted only when a bound says they may be many.

        Raises TooManyInFlight.
        """
        bound = self._in_flight_at_most.get(queue)
        if bound is None or bound + count > IN_FLIGHT_LIMIT:
            bound = connection.execute(HIDDEN, (queue, now)).fetchone()[1]
            self._in_flight_at_most[queue] = bound
            if bound >= IN_FLIGHT_LIMIT:
                raise TooManyInFlight

    def _bury(
        self, connection: sqlite3.Connection, arn: str, dead: list[Stored], target: str, now: int
    ) -> None:
        """Move messages to the dead letter queue: their age goes with them, as with AWS."""
        source, destination = self._number(connection, arn), self._number(connection, target)
        connection.executemany(
            "UPDATE sqs_messages SET queue = ?, visible_at = ?, source = ? WHERE id = ?",
            [(destination, now, arn, message.id) for message in dead],
        )
        connection.execute("UPDATE sqs_queues SET total = total - ? WHERE id = ?", (len(dead), source))
        connection.execute("UPDATE sqs_queues SET total = total + ? WHERE id = ?", (len(dead), destination))

    def send_back(
        self,
        connection: sqlite3.Connection,
        arn: str,
        destination: str | None,
        count: int,
        checked: Callable[[str | None], str],
    ) -> Iterator[str]:
        """Move up to ``count`` visible messages of a dead letter queue, each as a new one, to ``destination``
        or to where it came from; gives the queue of each.

        ``checked`` gives the queue it is given, and raises when there is none.
        """
        now = now_ms()
        queue = self._number(connection, arn)
        for row in connection.execute(RECEIVE, (queue, now, count)).fetchall():
            message = Stored(*row)
            target = checked(destination or message.source)
            number = self._number(connection, target)
            connection.execute(SENT_BACK, (number, now, now, str(uuid.uuid4()), message.id))
            connection.execute("UPDATE sqs_queues SET total = total - 1 WHERE id = ?", (queue,))
            connection.execute("UPDATE sqs_queues SET total = total + 1 WHERE id = ?", (number,))
            yield target

    def announce(self, arn: str) -> None:
        """Wake those who wait for the queue's messages."""
        self._arrivals[arn].announce()

    def _next_visible(self, arn: str) -> int | None:
        queue = self._numbers.get(arn)
        if queue is None:
            return None
        found: int | None = self._store.read(NEXT_VISIBLE, (queue, now_ms()))[0][0]
        return found

    def wake(self) -> None:
        """Let nobody wait any longer: the server stops."""
        self._stopping = True
        self._litter.set()
        for arrivals in list(self._arrivals.values()):
            arrivals.announce()

    # --- what a receiver does with a message

    def delete(self, arn: str, messages: Sequence[tuple[int, str]]) -> None:
        """Delete messages, each named by number and id; nothing happens to those that are gone already."""
        with self._store.write() as connection:
            queue = self._number(connection, arn)
            deleted: list[tuple[str | None]] = []
            for message in messages:
                deleted += connection.execute(DELETE, (queue, *message)).fetchall()
            if not deleted:
                return
            connection.execute("UPDATE sqs_queues SET total = total - ? WHERE id = ?", (len(deleted), queue))
            bound = self._in_flight_at_most.get(queue)
            if bound is not None:
                self._in_flight_at_most[queue] = bound - len(deleted)
        if any(group is not None for (group,) in deleted):  # the next of the group may be had
            self._arrivals[arn].announce()

    def hide(
        self, arn: str, message: int, message_id: str, visibility: int
    ) -> Literal["hidden", "gone", "not in flight", "too long"]:
        """Hide a message in flight for ``visibility`` milliseconds from now, or say why not."""
        now = now_ms()
        with self._store.write() as connection:
            found = connection.execute(
                "SELECT visible_at, received_at FROM sqs_messages"
                " WHERE id = ? AND queue = ? AND message_id = ?",
                (message, self._number(connection, arn), message_id),
            ).fetchone()
            if found is None:
                return "gone"
            visible_at, received_at = found
            if visible_at <= now or received_at is None:
                return "not in flight"
            if now + visibility - received_at > LONGEST_HIDDEN_MS:
                return "too long"
            connection.execute(
                "UPDATE sqs_messages SET visible_at = ? WHERE id = ?", (now + visibility, message)
            )
        self._arrivals[arn].announce()
        return "hidden"

    # --- queues

    def counts(self, arn: str, retention: int) -> Counts:
        """The queue's messages; what takes time is those that are hidden, not those that wait."""
        now = now_ms()
        with self._store.write() as connection:
            queue = self._number(connection, arn)
            while self._expire(connection, queue, now - retention):
                pass
            total = connection.execute("SELECT total FROM sqs_queues WHERE id = ?", (queue,)).fetchone()[0]
            hidden, in_flight = connection.execute(HIDDEN, (queue, now)).fetchone()
        return Counts(visible=total - hidden, in_flight=in_flight, delayed=hidden - in_flight)

    def oldest(self, arn: str) -> int | None:
        """When the queue's oldest message was sent; None when it is empty."""
        queue = self._numbers.get(arn) or self._known(arn)
        found: int | None = self._store.read(OLDEST, (queue,))[0][0] if queue is not None else None
        return found

    def purge(self, arn: str) -> None:
        """Empty the queue."""
        with self._store.write() as connection:
            self._discard(connection, arn)
        self._litter.set()

    def drop(self, arn: str) -> None:
        """Forget the queue, together with the change that deletes it."""
        self._context.commit(lambda connection: self._discard(connection, arn), self._litter.set)

    def owner(self, number: int, arn: str) -> str | None:
        """The queue that has this number now; ``arn`` is the one it probably is."""
        if self._numbers.get(arn) == number:
            return arn
        rows = self._store.read("SELECT arn FROM sqs_queues WHERE id = ?", (number,))
        return rows[0][0] if rows else None

    def total(self) -> int:
        """All messages of all queues."""
        query = "SELECT coalesce(sum(total), 0) FROM sqs_queues WHERE arn IS NOT NULL"
        return int(self._store.read(query)[0][0])

    def forget(self) -> None:
        """The store was emptied."""
        self._numbers.clear()
        self._in_flight_at_most.clear()

    def sweep(self) -> None:
        """Remove what purged and deleted queues left, a bite at a time, until the server stops."""
        while not self._stopping:
            while not self._stopping and self._bite():
                pass
            self._litter.wait()
            self._litter.clear()

    def _bite(self) -> bool:
        with self._store.write() as connection:
            queue = connection.execute(LITTER).fetchone()
            if queue is None:
                return False
            rows = connection.execute(LITTERED, (*queue, _BITE)).fetchall()
            connection.executemany("DELETE FROM sqs_messages WHERE id = ?", rows)
            if len(rows) < _BITE:
                connection.execute("DELETE FROM sqs_deduplication WHERE queue = ?", queue)
                connection.execute("DELETE FROM sqs_queues WHERE id = ?", queue)
        return True

    def _discard(self, connection: sqlite3.Connection, arn: str) -> None:
        connection.execute("UPDATE sqs_queues SET arn = NULL WHERE arn = ?", (arn,))
        number = self._numbers.pop(arn, None)
        if number is not None:
            self._in_flight_at_most.pop(number, None)

    def _known(self, arn: str) -> int | None:
        rows = self._store.read("SELECT id FROM sqs_queues WHERE arn = ?", (arn,))
        return rows[0][0] if rows else None

    def _number(self, connection: sqlite3.Connection, arn: str) -> int:
        """The queue's number, given at its first use; within a transaction, so that it can't change."""
        number = self._numbers.get(arn)
        if number is None:
            new = connection.execute("INSERT OR IGNORE INTO sqs_queues (arn) VALUES (?)", (arn,)).rowcount
            number = int(connection.execute("SELECT id FROM sqs_queues WHERE arn = ?", (arn,)).fetchone()[0])
            if not new:  # a new one is not sure before the transaction ends
                self._numbers[arn] = number
        return number

    @staticmethod
    def _expire(connection: sqlite3.Connection, queue: int, before: int) -> bool:
        rows = connection.execute(EXPIRED, (queue, before, _BITE)).fetchall()
        if rows:
            connection.executemany("DELETE FROM sqs_messages WHERE id = ?", rows)
            connection.execute("UPDATE sqs_queues SET total = total - ? WHERE id = ?", (len(rows), queue))
        return bool(rows)
