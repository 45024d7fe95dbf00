"""From the queue into the table: each event once, whatever comes twice, late, out of order or half.

Rows are committed, and only then their messages are deleted. A commit looks first for the identities that it
brings, in the hours that its events belong to, and is made on what it has looked at; so a run may die
anywhere, and another may do the same work beside it, and no event is there twice.

What is no event goes to the dead letters with its reason. What Iceberg won't take now stays in the queue, and
the run fails: a full stop is seen, a growing pile of dead letters may not be.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from privacy_assets.bites import Bite, Bites, tens
from privacy_assets.ingest import rows
from privacy_assets.ingest.messages import Accepted, MalformedMessage, Refused, unpack
from privacy_assets.ingest.names import EVENTS
from privacy_assets.ingest.schema import PARTITION_BY

BITE_MESSAGES = 20_000
THREADS = 24
RECEIVERS = 24
HOUSE_SECONDS = 60.0
"""For how long a run puts small files together while new events may wait."""
_CHUNK = 5_000  # events whose Python objects are held at a time
Hour = tuple[date, int]


class Queue(Protocol):
    """Where events come from and what is none goes."""

    def receive(self, wait: int = 1) -> Sequence[Any]: ...
    def delete(self, messages: Sequence[Any]) -> None: ...
    def bury(self, body: str, reason: str) -> None: ...


@dataclass
class Tally:
    """Events, their bytes as JSON, and how many took how many tenths of a second to be queryable."""

    events: int = 0
    bytes: int = 0
    lags: Counter[int] = field(default_factory=Counter)

    def lag(self, share: float) -> float:
        """The lag in seconds that ``share`` of the events had or fell below; 0 of no events."""
        left = share * self.lags.total()
        for tenths, count in sorted(self.lags.items()):
            left -= count
            if left <= 0:
                return tenths / 10
        return 0.0

    def add(self, other: "Tally") -> None:
        """Have the other's events too."""
        self.events += other.events
        self.bytes += other.bytes
        self.lags.update(other.lags)


@dataclass
class Drained:
    """What became of what was received: events that are new, by type and by hour; those that were there
    already; dead letters by reason.
    """

    by_type: dict[str, Tally] = field(default_factory=dict)
    by_hour: Counter[Hour] = field(default_factory=Counter)
    already: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    bites: int = 0

    @property
    def total(self) -> Tally:
        """Of all types."""
        total = Tally()
        for tally in self.by_type.values():
            total.add(tally)
        return total


class Drainer:
    """Takes events from the queue into the table."""

    def __init__(
        self,
        *,
        queue: Queue,
        store: rows.RowStore,
        receivers: int = RECEIVERS,
        threads: int = THREADS,
        bite_messages: int = BITE_MESSAGES,
        wait: int = 1,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queue, self._store, self._clock = queue, store, clock
        self._threads = threads
        self._bites: Bites[Any] = Bites(lambda: queue.receive(wait), most=bite_messages, receivers=receivers)

    def drain(
        self, *, seconds: float = 3600.0, progress: Callable[[Drained], None] = lambda _: None
    ) -> Drained:
        """Write until the queue is empty, or for ``seconds`` and the bite that is under way then."""
        done, until = Drained(), time.monotonic() + seconds
        rows.ensure(self._store)
        with ThreadPoolExecutor(self._threads) as pool, ThreadPoolExecutor(1) as ahead:
            bite = self._bites.take()
            while bite.messages:
                # The next bite is received while this one is written: two are in memory at a time.
                following: Future[Bite[Any]] | None = None
                if bite.full and time.monotonic() < until:
                    following = ahead.submit(self._bites.take)
                began = time.monotonic()
                self._write(bite, done, pool)
                self._bites.took(len(bite.messages), time.monotonic() - began)
                progress(done)
                bite = following.result() if following is not None else Bite()
        return done

    def _write(self, bite: Bite[Any], done: Drained, pool: ThreadPoolExecutor) -> None:
        """Rows, dead letters, then the messages."""
        refused: list[Refused] = []
        found = pa.concat_tables(self._read(bite, refused))
        distinct = _distinct(found)
        done.already += found.num_rows - distinct.num_rows
        if distinct.num_rows:
            added = self._store.add(EVENTS, distinct, identity="event_id", within=PARTITION_BY)
            done.already += distinct.num_rows - added.num_rows
            _count(added, self._clock(), done)
        list(pool.map(lambda each: self._queue.bury(each.body, each.reason), refused))
        done.dead.update(each.reason for each in refused)
        list(pool.map(self._queue.delete, tens(bite.messages)))
        done.messages += len(bite.messages)
        done.bites += 1

    def _read(self, bite: Bite[Any], refused: list[Refused]) -> Iterator[pa.Table]:
        """Rows of a bite, some thousand events at a time; what is none is added to ``refused``."""
        now = self._clock()
        held: list[Accepted] = []
        for message in bite.messages:
            try:
                events, wrong = unpack(message.body)
            except MalformedMessage as error:
                events, wrong = [], [Refused(message.body, str(error))]
            held += events
            refused += wrong
            if len(held) >= _CHUNK:
                yield rows.table(held, now)
                held = []
        yield rows.table(held, now)


def _distinct(found: pa.Table) -> pa.Table:
    """Each identity of an hour once, as it was read first, in the order of the events' time."""
    numbered = found.append_column("number", pa.array(range(found.num_rows), pa.int64()))
    first = numbered.group_by(["event_id", *PARTITION_BY]).aggregate([("number", "min")])
    return found.take(first.column("number_min")).sort_by("event_time")


def _count(added: pa.Table, now: datetime, done: Drained) -> None:
    """Add rows that are queryable since ``now``."""
    accepted = pc.cast(added.column("accepted_at"), pa.int64())
    tenths = pc.divide(pc.subtract(pa.scalar(int(now.timestamp() * 1e6)), accepted), 100_000)
    counted = pa.table(
        {
            "type": added.column("event_type"),
            "lag": pc.max_element_wise(tenths, 0),  # who accepted it may have a clock that is ahead
            "size": added.column("size"),
        }
    )
    grouped = counted.group_by(["type", "lag"]).aggregate([("size", "count"), ("size", "sum")])
    for row in grouped.to_pylist():
        tally = done.by_type.setdefault(row["type"], Tally())
        tally.events += row["size_count"]
        tally.bytes += row["size_sum"]
        tally.lags[row["lag"]] += row["size_count"]
    for row in added.group_by(list(PARTITION_BY)).aggregate([([], "count_all")]).to_pylist():
        done.by_hour[row["event_date"], row["event_hour"]] += row["count_all"]


@dataclass(frozen=True)
class Kept:
    """How many files were put together, and how many hours with small files are ``left`` for the next run."""

    replaced: int
    left: int


def keep_house(
    store: rows.RowStore,
    now: datetime,
    *,
    seconds: float = HOUSE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Kept:
    """Put small files together, the newest hours first; forget old snapshots, once an hour.

    It ends after ``seconds`` with the hour that is under way then: years of hours that came late at once hold
    up no event. What is left is found again by its files.
    """
    until = clock() + seconds
    scattered = _scattered(store, now)
    replaced = done = 0
    for (day, hour), most in scattered:
        if done and clock() >= until:
            break
        replaced += store.compact(
            EVENTS,
            {"event_date": [day], "event_hour": [hour]},
            files=most,
            bytes_each=rows.SMALL,
            chunk_bytes=rows.CHUNK_BYTES,
        )
        done += 1
    store.vacuum(EVENTS, rows.KEEP, slack=rows.KEEP)
    return Kept(replaced, len(scattered) - done)


def _scattered(store: rows.RowStore, now: datetime) -> list[tuple[Hour, int]]:
    """The hours that are in too many small files, newest first, and how many files each may be in."""
    found: list[tuple[Hour, int]] = []
    for (day, hour), (files, size) in store.files(EVENTS, PARTITION_BY, None).items():
        end = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(hours=1)
        most = 1 if end <= now else rows.FILES
        if files > most and size < files * rows.SMALL:
            found.append(((day, hour), most))
    return sorted(found, reverse=True)
