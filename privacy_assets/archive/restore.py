"""Back from the archive into a table, without ever overwriting what is there now unless that was asked for.

An item is put on the condition that its key is free. What is there already as it was archived counts as
restored, so that a restore may be run again. The latest deletion of each key counts; what an earlier restore
overwrote is restored only when asked for by its cause.

An erasure is registered before it searches. The registry is asked before items are put and again after, and
what was put meanwhile is taken back: so whichever comes first, the restore brings nobody back.

A restore goes through the archive by slices of paths: memory is that of a slice, and a restore that died goes
on with the slice that it had not finished. What it told of that slice is forgotten, so that its account has
each record once.
"""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from privacy_assets.archive import archiving, rows
from privacy_assets.archive.paths import path_of
from privacy_assets.archive.records import (
    BUCKETS,
    OWN_IDENTITY,
    Cause,
    Deletion,
    bucket_of,
    compact,
    deletion,
)
from privacy_assets.archive.values import same
from privacy_assets.errors import UserError
from privacy_assets.estate import Table

THREADS = 48
_SLICE = 10_000
_CHUNK = 1_000

Item = Mapping[str, Any]
Key = Mapping[str, Mapping[str, str]]


class Status(StrEnum):
    """What became of a record."""

    RESTORED = "restored"
    UNCHANGED = "unchanged"
    OVERWRITTEN = "overwritten"
    CONFLICTING = "conflicting"
    EXPIRED = "expired"
    ERASED = "erased"
    MISSING = "missing"
    FAILED = "failed"


class Expired(StrEnum):
    """What to do with an item whose time to live is over, which DynamoDB would delete again within minutes:
    leave it, or put it back without the attribute or with a later time.
    """

    LEAVE = "leave"
    STRIP = "strip"
    MOVE = "move"


@dataclass(frozen=True)
class Selection:
    """Which records: of one table, by key, subject, time of deletion (``until`` excluded) and cause."""

    noun: str
    keys: tuple[Key, ...] | None = None
    subject: str | None = None
    first: datetime | None = None
    until: datetime | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class Options:
    """How to restore. ``move_days`` is how long an item whose time to live is over gets, from now."""

    dry_run: bool = False
    overwrite: bool = False
    expired: Expired = Expired.LEAVE
    move_days: int = 30


@dataclass(frozen=True)
class Outcome:
    """A record and what became of it; ``keys`` is DynamoDB JSON, ``reason`` one line without a value."""

    keys: str
    status: Status
    reason: str = ""


@dataclass
class Report:
    """How many records had which outcome; ``requests`` are the erasures that refused some."""

    counts: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """As JSON: every status, also those that none had."""
        return {
            **{status.value: self.counts[status.value] for status in Status},
            "erasure_requests": dict(self.requests),
        }

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is in the table now."""
        done = (Status.RESTORED, Status.UNCHANGED, Status.OVERWRITTEN)
        return not any(self.counts[status.value] for status in Status if status not in done)


class Source(Protocol):
    """The archive bucket."""

    def read(self, path: str, version: str) -> bytes | None: ...
    def put(self, path: str, body: bytes, sequence: str, highest: str, after: Any) -> str | None: ...
    def current(self, path: str) -> Any: ...
    def find(self, path: str, sequence: str) -> str | None: ...
    def remove(self, path: str, version: str) -> None: ...


class Target(Protocol):
    """The table that items go to. ``put`` answers None when it has put, and else the item that is there."""

    @property
    def arn(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    def ttl_attribute(self) -> str | None: ...
    def get(self, key: Key) -> Item | None: ...
    def put(self, item: Item, keys: Sequence[str], over: Item | None) -> Item | None: ...
    def take_back(self, item: Item, keys: Sequence[str]) -> None: ...


class Progress(Protocol):
    """Where a restore notes how far it is, for one that dies and is run again."""

    def load(self) -> dict[str, Any] | None: ...
    def save(self, done: Mapping[str, Any]) -> None: ...
    def clear(self) -> None: ...


class Account(Protocol):
    """Where a restore tells what became of each record."""

    def tell(self, outcome: Outcome) -> None: ...

    def mark(self) -> int:
        """Have all that was told outlive this process; where it ends."""
        ...

    def go_back(self, mark: int) -> None:
        """Forget what was told behind ``mark``; 0 is the beginning."""
        ...


class NoAccount:
    """Nobody hears of single records."""

    def tell(self, outcome: Outcome) -> None: ...

    def mark(self) -> int:
        return 0

    def go_back(self, mark: int) -> None: ...


@dataclass(frozen=True)
class Archived:
    """A row of the archive, as far as it is shown and restored from."""

    path: str
    version: str
    sequence: str
    keys: str
    subject: str | None
    deleted_at: datetime
    cause: str
    size: int

    @property
    def order(self) -> tuple[datetime, int]:
        """Later deletions of a key are greater."""
        return self.deleted_at, int(self.sequence)


_COLUMNS = (
    "object_path", "object_version", "sequence_number", "keys", "subject", "deleted_at", "cause", "size"
)  # fmt: skip


def find(
    store: rows.RowStore, selection: Selection, buckets: Collection[int] | None = None
) -> Iterator[Archived]:
    """The archived deletions that are selected, in no order; ``buckets`` takes a slice of all paths."""
    where: dict[str, Collection[Any]] = {"table_name": [selection.noun]}
    between: dict[str, tuple[Any, Any]] = {}
    if selection.keys is not None:
        paths = [path_of(selection.noun, key) for key in selection.keys]
        if buckets is not None:
            paths = [path for path in paths if bucket_of(path) in buckets]
        if not paths:
            return
        where["object_path"] = paths
    elif buckets is not None:
        where["path_bucket"] = list(buckets)
    if selection.subject is not None:
        where["subject"] = [selection.subject]
    if selection.cause is not None:
        where["cause"] = [selection.cause.value]
    if selection.first is not None or selection.until is not None:
        between["deleted_at"] = (selection.first, selection.until)
        between["deleted_on"] = (
            selection.first.date() if selection.first else None,
            selection.until.date() + timedelta(days=1) if selection.until else None,
        )
    for batch in store.batches(rows.DELETIONS, _COLUMNS, where, between):
        for start in range(0, batch.num_rows, _CHUNK):
            part = batch.slice(start, _CHUNK)
            columns = [part.column(name).to_pylist() for name in _COLUMNS]
            for row in zip(*columns, strict=True):
                yield Archived(*row)


class Restorer:
    """Restores records of one table; ``tables`` has it under its noun."""

    def __init__(
        self,
        *,
        table: Table,
        store: rows.RowStore,
        source: Source,
        target: Target,
        erasures: archiving.Erasures,
        threads: int = THREADS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._table, self._store, self._source = table, store, source
        self._target, self._erasures = target, erasures
        self._threads, self._now = threads, now
        self._ttl = target.ttl_attribute()

    def run(
        self,
        selection: Selection,
        options: Options,
        *,
        account: Account | None = None,
        advance: Callable[[Report], None] = lambda _: None,
        progress: Progress | None = None,
    ) -> Report:
        """Restore all that is selected; ``account`` hears of every record, ``advance`` after each thousand.

        With ``progress`` a run that died is gone on with: its slices that were finished are not looked at
        again, and their counts are in the report. Raises UserError for a table of other keys, where a free
        key would be another's, and for the progress of another restore.
        """
        account = NoAccount() if account is None else account
        if set(self._target.keys) != set(self._table.keys):
            name = self._target.arn.rpartition("/")[2]
            raise UserError(
                f"{name}: its keys are {', '.join(self._target.keys)}, expected {', '.join(self._table.keys)}"
            )
        rows.ensure(self._store)
        slices = self._slices(selection)
        restore = _identity(selection, options, self._target.arn)
        noted = _noted(progress.load() if progress else None, restore, len(slices))
        report = Report(Counter(noted.counts), Counter(noted.requests))
        account.go_back(noted.mark)
        by_bucket = _by_bucket(selection)

        def told(outcome: Outcome) -> None:
            report.counts[outcome.status.value] += 1
            account.tell(outcome)

        with ThreadPoolExecutor(self._threads) as pool:
            for number in range(noted.done, len(slices)):
                seen: set[str] = set()
                named = {path: key for bucket in slices[number] for path, key in by_bucket[bucket].items()}
                part = selection if selection.keys is None else replace(selection, keys=(*named.values(),))
                for chunk in self._chunks(part, slices[number], seen):
                    for outcome in self._restore(chunk, options, report, pool):
                        told(outcome)
                    advance(report)
                for path in named.keys() - seen:
                    never = "no deletion of this key is in the archive"
                    told(Outcome(compact(named[path]), Status.MISSING, never))
                if progress is not None:
                    progress.save(
                        {
                            "restore": restore,
                            "slices": len(slices),
                            "done": number + 1,
                            "counts": dict(report.counts),
                            "requests": dict(report.requests),
                            "mark": account.mark(),
                        }
                    )
        account.mark()
        if progress is not None:
            progress.clear()
        return report

    def _slices(self, selection: Selection) -> list[list[int]]:
        """The buckets in as many parts as the table's rows, or the keys that are named, need: about ten
        thousand are a part.
        """
        held = self._store.count(rows.DELETIONS, ["table_name"], {"table_name": [selection.noun]})
        most = max(held.get((selection.noun,), 0), len(selection.keys or ()))
        parts = min(BUCKETS, max(1, math.ceil(most / _SLICE)))
        return [[bucket for bucket in range(BUCKETS) if bucket % parts == part] for part in range(parts)]

    def _chunks(
        self, selection: Selection, buckets: Sequence[int], seen: set[str]
    ) -> Iterator[list[Archived]]:
        """The latest selected deletion of each key of a slice."""
        latest: dict[str, Archived] = {}
        for row in find(self._store, selection, buckets):
            if selection.cause is None and row.cause == Cause.OVERWRITE:
                continue
            known = latest.get(row.path)
            if known is None or row.order > known.order:
                latest[row.path] = row
        seen.update(latest)
        ordered = [latest[path] for path in sorted(latest)]
        for start in range(0, len(ordered), _CHUNK):
            yield ordered[start : start + _CHUNK]

    # --- a thousand records

    def _restore(
        self, chunk: Sequence[Archived], options: Options, report: Report, pool: ThreadPoolExecutor
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        wanted: list[Archived] = []
        erasures = self._erasures_of(chunk)
        for row in chunk:
            erasure = erasures.get(row.subject or "")
            if erasure is None:
                wanted.append(row)
            else:
                outcomes.append(_refused(row, erasure, report))
        tried = list(pool.map(lambda row: self._try(row, options), wanted))
        outcomes += [each for each in tried if isinstance(each, Outcome)]
        conflicts = [each for each in tried if isinstance(each, _Conflict)]
        put = [each for each in tried if isinstance(each, _Put)]
        if conflicts and options.overwrite and not options.dry_run:
            over = self._overwrite(conflicts, pool)
            outcomes += [each for each in over if isinstance(each, Outcome)]
            put += [each for each in over if isinstance(each, _Put)]
        else:
            status = Status.OVERWRITTEN if options.overwrite else Status.CONFLICTING
            reason = "another item has the key now"
            outcomes += [Outcome(each.row.keys, status, reason) for each in conflicts]
        return outcomes + self._looked_again(put, options, report, pool)

    def _looked_again(
        self, put: "Sequence[_Put]", options: Options, report: Report, pool: ThreadPoolExecutor
    ) -> list[Outcome]:
        """What became of items that were put: those of subjects whose erasure has begun since are taken
        back.
        """
        begun = {} if options.dry_run else self._erasures_of([each.row for each in put])
        late = [each for each in put if (each.row.subject or "") in begun]
        list(pool.map(self._take_back, late))
        return [
            _refused(each.row, begun[each.row.subject or ""], report) if each in late else each.outcome
            for each in put
        ]

    def _take_back(self, put: "_Put") -> None:
        if put.there is None:
            self._target.take_back(put.item, self._table.keys)
        else:
            self._target.put(put.there, self._table.keys, put.item)

    def _erasures_of(self, those: Sequence[Archived]) -> dict[str, Any]:
        """The erasures of their subjects, by subject."""
        noun = self._table.name
        found = self._erasures.of({(noun, row.subject) for row in those if row.subject is not None})
        return {subject: erasure for (_, subject), erasure in found.items()}

    def _try(self, row: Archived, options: Options) -> "Outcome | _Put | _Conflict":
        """Put one item where its key is free; what became of it, or what is in its way."""
        try:
            body = self._source.read(row.path, row.version)
            if body is None:
                return Outcome(row.keys, Status.MISSING, "its object is gone from the archive")
            archived: dict[str, Any] = json.loads(body)["dynamodb"]["OldImage"]
            item, over = self._alive(archived, options)
            if item is None:
                return Outcome(row.keys, Status.EXPIRED, over)
            key = {name: item[name] for name in self._table.keys}
            there = (
                self._target.get(key) if options.dry_run else self._target.put(item, self._table.keys, None)
            )
        except Exception as error:  # noqa: BLE001 - told for this record; the others go on
            return Outcome(row.keys, Status.FAILED, _reason(error))
        if there is None:
            return _Put(row, item, None, Outcome(row.keys, Status.RESTORED, over))
        # Where the time to live was changed, it may have been by an earlier run.
        ignored = {self._ttl} if over and self._ttl is not None else set()
        if same(_without(there, ignored), _without(item, ignored)):
            return Outcome(row.keys, Status.UNCHANGED)
        return _Conflict(row, item, there)

    def _alive(self, item: dict[str, Any], options: Options) -> tuple[dict[str, Any] | None, str]:
        """The item as it is to be put, None for not at all; and what was done about its time to live."""
        if self._ttl is None or self._ttl in self._table.keys:
            return item, ""
        value = item.get(self._ttl, {}).get("N")
        now = self._now().timestamp()
        if value is None or float(value) > now:
            return item, ""
        over = f"its time to live ({self._ttl}) is over"
        if options.expired is Expired.STRIP:
            return {name: each for name, each in item.items() if name != self._ttl}, f"{over}: stripped"
        if options.expired is Expired.MOVE:
            later = str(int(now) + options.move_days * 86_400)
            return {**item, self._ttl: {"N": later}}, f"{over}: moved by {options.move_days} days"
        return None, f"{over}: --expired strip or --expired move puts it back"

    # --- what is in the way

    def _overwrite(
        self, conflicts: "Sequence[_Conflict]", pool: ThreadPoolExecutor
    ) -> "list[Outcome | _Put]":
        """Archive what is there, object and row; only then put the archived item over it."""
        now = self._now()
        pairs = [(each, self._replaced(each, now)) for each in conflicts]
        # The archive takes nothing of who is being erased.
        begun = self._erasures.of({(there.noun, there.subject) for _, there in pairs if there.subject})
        why = "another item has the key now, whose subject's erasure has begun"
        outcomes = [
            Outcome(each.row.keys, Status.CONFLICTING, why)
            for each, there in pairs
            if (there.noun, there.subject) in begun
        ]
        pairs = [each for each in pairs if (each[1].noun, each[1].subject) not in begun]
        # An earlier try may have died before it put: its row is of another time, and is the one to keep.
        keys = tuple({name: each.there[name] for name in self._table.keys} for each, _ in pairs)
        before = Selection(self._table.name, keys=keys, cause=Cause.OVERWRITE)
        told = {row.sequence for row in find(self._store, before)}
        kept: list[tuple[Deletion, str, Cause]] = []
        ready: list[_Conflict] = []

        def keep(each: Deletion) -> str | Exception:
            try:
                return archiving.keep(self._source, each)
            except Exception as error:  # noqa: BLE001 - told for this record; the others go on
                return error

        versions = pool.map(keep, [there for _, there in pairs])
        for (conflict, there), version in zip(pairs, versions, strict=True):
            if isinstance(version, str):
                kept.append((there, version, Cause.OVERWRITE))
                ready.append(conflict)
            else:
                outcomes.append(Outcome(conflict.row.keys, Status.FAILED, _reason(version)))
        if new := [each for each in kept if each[0].sequence not in told]:
            archiving.add(self._store, new)
        return [*outcomes, *pool.map(self._put_over, ready)]

    def _put_over(self, conflict: "_Conflict") -> "Outcome | _Put":
        try:
            there = self._target.put(conflict.item, self._table.keys, conflict.there)
        except Exception as error:  # noqa: BLE001 - told for this record; the others go on
            return Outcome(conflict.row.keys, Status.FAILED, _reason(error))
        if there is not None:
            return Outcome(conflict.row.keys, Status.CONFLICTING, "the item was changed meanwhile")
        done = Outcome(conflict.row.keys, Status.OVERWRITTEN)
        return _Put(conflict.row, conflict.item, conflict.there, done)

    def _replaced(self, conflict: "_Conflict", now: datetime) -> Deletion:
        """What is overwritten as a record of the archive: the same whenever the same is overwritten by the
        same, so that a run that dies between archiving and putting archives it once.
        """
        identity = compact([conflict.row.path, conflict.row.sequence, conflict.there])
        digest = hashlib.sha256(identity.encode()).hexdigest()
        keys = {name: conflict.there[name] for name in self._table.keys}
        record = {
            "eventID": digest[:32],
            "eventName": "REMOVE",
            "eventVersion": "1.1",
            "eventSource": OWN_IDENTITY,
            "awsRegion": self._target.arn.split(":")[3],
            "dynamodb": {
                "ApproximateCreationDateTime": int(now.timestamp()),
                "Keys": keys,
                "OldImage": dict(conflict.there),
                "SequenceNumber": str(int(digest, 16) % 10**38),
                "SizeBytes": len(compact(conflict.there).encode()),
                "StreamViewType": "OLD_IMAGE",
            },
            "userIdentity": {"type": OWN_IDENTITY, "principalId": "restore"},
            "eventSourceARN": f"{self._target.arn}/stream/restore",
        }
        named = self._target.arn.rpartition("/")[2]
        return deletion(record, compact(record), {named: self._table})


@dataclass(frozen=True)
class _Noted:
    """What an earlier run of a restore had done."""

    done: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    mark: int = 0


def _noted(found: Any, restore: str, slices: int) -> _Noted:
    """What was noted; nothing where the archive has grown since into other slices. Raises UserError."""
    if found is None:
        return _Noted()
    try:
        if found["restore"] != restore:
            raise UserError("the progress of another restore: expected the same selection, table and options")
        if found["slices"] != slices:
            return _Noted()
        counts, requests = (
            {str(name): int(number) for name, number in found[field].items()}
            for field in ("counts", "requests")
        )
        return _Noted(int(found["done"]), counts, requests, int(found["mark"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError("expected the progress of a restore, or no file") from None


def _identity(selection: Selection, options: Options, arn: str) -> str:
    """The same for the same restore alone."""
    return hashlib.sha256(f"{selection!r} {options!r} {arn}".encode()).hexdigest()


@dataclass(frozen=True)
class _Conflict:
    """An archived item and what its key holds now."""

    row: Archived
    item: dict[str, Any]
    there: Item


@dataclass(frozen=True)
class _Put:
    """An archived item that is in the table now, and what its key held before."""

    row: Archived
    item: dict[str, Any]
    there: Item | None
    outcome: Outcome


def _refused(row: Archived, erasure: archiving.Erasure, report: Report) -> Outcome:
    report.requests[erasure.request_id] += 1
    when = "was completed" if erasure.completed else "goes on"
    return Outcome(
        row.keys, Status.ERASED, f"the erasure of its subject {when}: request {erasure.request_id}"
    )


def _by_bucket(selection: Selection) -> Mapping[int, Mapping[str, Key]]:
    """The keys that were asked for by name, each once, by their path in its bucket."""
    found: dict[int, dict[str, Key]] = defaultdict(dict)
    for key in selection.keys or ():
        path = path_of(selection.noun, key)
        found[bucket_of(path)][path] = key
    return found


def _without(item: Item, names: Collection[str]) -> Item:
    return {name: value for name, value in item.items() if name not in names}


def _reason(error: BaseException) -> str:
    """The class of an error and AWS's code: what it says may quote a value."""
    return f"{type(error).__name__} {getattr(error, 'code', '')}".strip()


def parse_key(text: str, table: Table) -> Key:
    """A key as a person writes it: DynamoDB JSON, or the values of its attributes, with a comma between two.

    Raises UserError.
    """
    from privacy_assets.governed import key_types

    kinds: dict[str, str] = dict(key_types(table))
    if text.lstrip().startswith("{"):
        try:
            key = json.loads(text)
            ordered = {name: dict(key[name]) for name in table.keys}
            path_of(table.name, ordered)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"key: expected {_example(table)}") from None
        if set(key) != set(table.keys):
            raise UserError(f"key: expected {_example(table)}")
        return ordered
    values = [text] if len(table.keys) == 1 else text.split(",", 1)
    if len(values) != len(table.keys):
        raise UserError(f"key: expected {','.join(table.keys)} or {_example(table)}")
    found = {name: {kinds[name]: value} for name, value in zip(table.keys, values, strict=True)}
    try:
        path_of(table.name, found)
    except ValueError:
        raise UserError(f"key: expected {_example(table)}") from None
    return found


def _example(table: Table) -> str:
    from privacy_assets.governed import key_types

    return compact({name: {kind: "…"} for name, kind in key_types(table).items()})


def parse_time(text: str, *, end: bool = False) -> datetime:
    """A day or an instant, UTC where it names no zone; ``end`` takes a day's end. Raises UserError."""
    try:
        try:
            day = date.fromisoformat(text) + timedelta(days=int(end))
        except ValueError:
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UserError(
            f"{text!r}: expected a day or an instant such as 2026-01-27 or 2026-01-27T13:00:00Z"
        ) from None
