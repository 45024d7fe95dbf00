"""From the queue into the archive: each deletion once, whatever comes twice, late, out of order or half.

A record becomes an object, then a row, and only then its message is deleted. The object is written on the
condition that its key's current version is the one that was looked at; the row in a commit that has looked
for it. So both may be tried again, by this run or by another beside it, and nothing is there twice.

An erasure says that the archive is closed to a subject before it looks for what to take out. Here it is asked
before something is written and again after: so whichever comes first, nothing of the subject stays.

What is no deletion goes to the dead letters with its reason. What S3 or Iceberg won't take now stays in the
queue, and the run fails: a full stop is seen, a growing pile of dead letters may not be.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from privacy_assets.archive import rows
from privacy_assets.archive.records import (
    Cause,
    Deletion,
    MalformedRecord,
    Pointer,
    compact,
    deletion,
    parse,
)
from privacy_assets.bites import RECEIVERS, Bite, Bites, tens
from privacy_assets.estate import Table

BITE_RECORDS = 20_000
BITE_POINTERS = 100
"""Dead letters of pipes in a bite: each may stand for ten records too large for a message."""
THREADS = 48
_ATTEMPTS = 20


class Version(Protocol):
    """The current version of an object."""

    @property
    def id(self) -> str: ...
    @property
    def sequence(self) -> str: ...
    @property
    def highest(self) -> str: ...


class Queue(Protocol):
    """Where deletions come from and what can't be archived goes."""

    def receive(self, wait: int = 1) -> Sequence[Any]: ...
    def receive_from_pipe(self) -> Sequence[Any]: ...
    def delete(self, messages: Sequence[Any], *, from_pipe: bool = False) -> None: ...
    def dead_letter(self, message: Any, reason: str, *, from_pipe: bool = False) -> None: ...


class Objects(Protocol):
    """The archive bucket."""

    def put(self, path: str, body: bytes, sequence: str, highest: str, after: Any) -> str | None: ...
    def current(self, path: str) -> Any: ...
    def find(self, path: str, sequence: str) -> str | None: ...
    def remove(self, path: str, version: str) -> None: ...


class Streams(Protocol):
    """Streams that are read again."""

    def records(self, stream_arn: str, shard: str, first: str, last: str) -> Iterator[dict[str, Any]]: ...


class Erasure(Protocol):
    """A subject's erasure."""

    @property
    def request_id(self) -> str: ...
    @property
    def started(self) -> datetime: ...
    @property
    def closed(self) -> datetime | None: ...
    @property
    def completed(self) -> datetime | None: ...


class Erasures(Protocol):
    """Which subjects of which tables were erased."""

    def of(self, subjects: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Any]: ...


class NotArchived(Exception):  # noqa: N818  # what happened
    """Some deletions could not be archived now; they are in the queue still. Names no key."""


@dataclass
class Drained:
    """What became of what was received: records archived now, those that were there already, those of erased
    subjects, messages moved to the dead letters with the reasons, records read from a stream again.
    ``by_day`` counts new records by deletion day and table.
    """

    archived: int = 0
    already: int = 0
    erased: int = 0
    reread: int = 0
    dead: dict[str, int] = field(default_factory=dict)
    by_day: dict[tuple[date, str], int] = field(default_factory=dict)
    by_cause: dict[str, int] = field(default_factory=dict)
    bites: int = 0
    bytes: int = 0

    def bury(self, reason: str) -> None:
        """Count a dead letter."""
        self.dead[reason] = self.dead.get(reason, 0) + 1


class Archiver:
    """Takes deletions from the queue into the archive.

    ``refused`` is what ``Objects.put`` raises for an object that S3 will never take, ``gone`` what
    ``Streams.records`` raises when the stream has the records no more.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        objects: Objects,
        store: rows.RowStore,
        streams: Streams,
        erasures: Erasures,
        tables: Mapping[str, Table],
        refused: type[Exception],
        gone: type[Exception],
        threads: int = THREADS,
        receivers: int = RECEIVERS,
        bite_records: int = BITE_RECORDS,
        wait: int = 1,
    ) -> None:
        self._queue, self._objects, self._store = queue, objects, store
        self._streams, self._erasures = streams, erasures
        self._tables = {each.table: each for each in tables.values()}
        self._refused, self._gone = refused, gone
        self._threads = threads
        self._bites: Bites[Any] = Bites(lambda: queue.receive(wait), most=bite_records, receivers=receivers)
        self._from_pipe: set[str] = set()

    def drain(
        self,
        *,
        seconds: float = 3600.0,
        progress: Callable[[Drained], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Drained:
        """Archive until the queue is empty, or for ``seconds`` and the bite that is under way then.

        Raises NotArchived when some could not be; all others are.
        """
        done, until = Drained(), clock() + seconds
        rows.ensure(self._store)
        with ThreadPoolExecutor(self._threads) as pool, ThreadPoolExecutor(1) as ahead:
            bite = self._take()
            while bite.messages:
                # The next bite is received while this one is written: two are in memory at a time.
                following: Future[Bite[Any]] | None = None
                if bite.full and clock() < until:
                    following = ahead.submit(self._take)
                began = clock()
                failed = self._archive(bite, done, pool)
                self._bites.took(len(bite.messages), clock() - began)
                done.bites += 1
                progress(done)
                if failed:
                    if following is not None:
                        following.result()
                    raise NotArchived(_failures(failed))
                bite = following.result() if following is not None else Bite()
        return done

    def _take(self) -> Bite[Any]:
        """A bite that begins with dead letters of the pipes."""
        letters: dict[str, Any] = {}
        while len(letters) < BITE_POINTERS:
            found = {each.id: each for each in self._queue.receive_from_pipe() if each.id not in letters}
            if not found:
                break
            letters |= found
        self._from_pipe |= set(letters)
        bite = self._bites.take(list(letters.values()))
        bite.full = bite.full or len(letters) >= BITE_POINTERS
        return bite

    # --- archiving

    def _archive(self, bite: Bite[Any], done: Drained, pool: ThreadPoolExecutor) -> list[BaseException]:
        """Objects, rows, then the messages. Answers what went wrong; the messages concerned are left."""
        records, messages = self._read(bite, done)
        erasures = self._erasures_of(records)
        by_path: dict[str, list[Deletion]] = {}
        dropped = _closed_to(records, erasures)
        gone = {each.id for each in dropped}
        for each in records:
            if each.id not in gone:
                by_path.setdefault(each.path, []).append(each)
        failed: list[BaseException] = []
        left: set[str] = set()
        kept: list[tuple[Deletion, str, Cause]] = []
        refused: dict[str, str] = {}
        wanted = list(by_path.values())
        for same, answer in zip(wanted, pool.map(self._keep, wanted), strict=True):
            versions, error = answer
            kept += [
                (each, version, _cause(each, erasures.get((each.noun, each.subject or ""))))
                for each, version in zip(same, versions, strict=False)
            ]
            rest = same[len(versions) :]
            if isinstance(error, self._refused):
                refused |= {each.id: f"S3 refused the object: {getattr(error, 'code', '')}" for each in rest}
            elif error is not None:
                failed.append(error)
                left |= {each.id for each in rest}
        if kept:
            self._add(kept, done)
            written = [each for each, _, _ in kept]
            dropped += _closed_to(written, self._erasures_of(written))
        self._forget(dropped, pool)
        done.erased += len(dropped)
        self._settle(messages, left, refused, done, pool)
        return failed

    def _read(
        self, bite: Bite[Any], done: Drained
    ) -> tuple[list[Deletion], list[tuple[Any, bool, list[str]]]]:
        """The distinct deletions of a bite, in order, and which of them each message brought."""
        found: dict[str, Deletion] = {}
        messages: list[tuple[Any, bool, list[str]]] = []
        for message in bite.messages:
            from_pipe = message.id in self._from_pipe
            try:
                said = parse(message.body, self._tables)
                brought = [said] if isinstance(said, Deletion) else self._reread(said, done)
            except (MalformedRecord, self._gone) as error:
                self._queue.dead_letter(message, str(error), from_pipe=from_pipe)
                done.bury(str(error))
                continue
            ids = [each.id for each in brought]
            messages.append((message, from_pipe, ids))
            for identity, each in zip(ids, brought, strict=True):
                if identity in found:
                    done.already += 1
                found.setdefault(identity, each)
        ordered = sorted(found.values(), key=lambda each: int(each.sequence))
        return ordered, messages

    def _reread(self, pointer: Pointer, done: Drained) -> list[Deletion]:
        records = self._streams.records(pointer.stream_arn, pointer.shard, pointer.first, pointer.last)
        found = [
            deletion(record, compact(record), self._tables)
            for record in records
            if record.get("eventName") == "REMOVE"
        ]
        done.reread += len(found)
        return found

    def _keep(self, same: Sequence[Deletion]) -> tuple[list[str], BaseException | None]:
        """Write the deletions of one key, in order; the versions of those written, and what stopped it."""
        versions: list[str] = []
        try:
            versions.extend(keep(self._objects, each) for each in same)
        except Exception as error:  # noqa: BLE001 - told to who asked, for the whole bite
            return versions, error
        return versions, None

    def _erasures_of(self, records: Iterable[Deletion]) -> Mapping[tuple[str, str], Erasure]:
        return self._erasures.of({(each.noun, each.subject) for each in records if each.subject is not None})

    def _forget(self, dropped: Sequence[Deletion], pool: ThreadPoolExecutor) -> None:
        """Records of subjects whom the archive is closed to, as late copies are: what this run has written of
        them, or one that was killed, goes.
        """

        def clear(each: Deletion) -> None:
            version = self._objects.find(each.path, each.sequence)
            if version is not None:
                self._objects.remove(each.path, version)

        list(pool.map(clear, dropped))
        by_day: dict[tuple[str, date], set[str]] = {}
        for each in dropped:
            by_day.setdefault((each.noun, each.day), set()).add(each.id)
        for (noun, day), ids in by_day.items():
            where: dict[str, Collection[Any]] = {
                "table_name": [noun],
                "deleted_on": [day],
                "record_id": ids,
            }
            if any(batch.num_rows for batch in self._store.batches(rows.DELETIONS, ["record_id"], where)):
                self._store.remove(rows.DELETIONS, where)

    def _add(self, kept: list[tuple[Deletion, str, Cause]], done: Drained) -> None:
        added = add(self._store, kept)
        done.archived += added
        done.already += len(kept) - added
        for each, _, cause in kept:
            done.by_day[each.day, each.noun] = done.by_day.get((each.day, each.noun), 0) + 1
            done.by_cause[cause.value] = done.by_cause.get(cause.value, 0) + 1
            done.bytes += each.size

    def _settle(
        self,
        messages: Sequence[tuple[Any, bool, list[str]]],
        left: set[str],
        refused: Mapping[str, str],
        done: Drained,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Delete the messages of which everything is durable; bury those that S3 will never take."""
        ready: dict[bool, list[Any]] = {False: [], True: []}
        for message, from_pipe, ids in messages:
            if any(identity in left for identity in ids):
                continue
            reasons = [refused[identity] for identity in ids if identity in refused]
            if reasons:
                self._queue.dead_letter(message, reasons[0], from_pipe=from_pipe)
                done.bury(reasons[0])
            else:
                ready[from_pipe].append(message)
        for from_pipe, those in ready.items():
            list(pool.map(lambda ten, pipe=from_pipe: self._queue.delete(ten, from_pipe=pipe), tens(those)))


def _closed_to(records: Iterable[Deletion], erasures: Mapping[tuple[str, str], Erasure]) -> list[Deletion]:
    """Those of ``records`` that an erasure keeps out of the archive."""
    found = []
    for each in records:
        erasure = erasures.get((each.noun, each.subject or ""))
        if erasure is not None and erasure.closed is not None:
            found.append(each)
    return found


def keep(objects: Objects, each: Deletion) -> str:
    """Have the record as a version of its object, once; the version's id.

    One call where the key was never deleted before, two where it was.
    """
    body = each.body.encode()
    version = objects.put(each.path, body, each.sequence, each.sequence, None)
    for _ in range(_ATTEMPTS):
        if version is not None:
            return version
        current = objects.current(each.path)
        highest = each.sequence
        if current is not None:
            if current.sequence == each.sequence:
                return str(current.id)
            if int(current.highest or "0") >= int(each.sequence):
                there = objects.find(each.path, each.sequence)
                if there is not None:
                    return there
            highest = str(max(int(current.highest or "0"), int(each.sequence)))
        version = objects.put(each.path, body, each.sequence, highest, current)
    raise NotArchived("an object was changed by others each time it was to be written")


def add(store: rows.RowStore, kept: Sequence[tuple[Deletion, str, Cause]]) -> int:
    """Have the rows of archived records, once; how many there were not yet."""
    added = store.add(
        rows.DELETIONS, rows.table(kept), identity="record_id", within=rows.PARTITION_BY, span="deleted_at"
    )
    return int(added.num_rows)


def _cause(each: Deletion, erasure: Erasure | None) -> Cause:
    """A deletion by a user while the subject's erasure goes on is the erasure's."""
    if each.cause is not Cause.USER or erasure is None:
        return each.cause
    # A stream tells whole seconds.
    began = int(erasure.started.timestamp())
    return Cause.DSAR if each.deleted_at.timestamp() >= began else each.cause


def _failures(errors: Sequence[BaseException]) -> str:
    kinds = sorted({type(error).__name__ for error in errors})
    return (
        f"{len(errors)} keys could not be archived ({', '.join(kinds)}: {errors[0]}); "
        "their deletions are in the queue still"
    )
