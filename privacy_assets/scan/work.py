"""The work on planned objects, by a pool of processes, and the parts that it leaves as it goes.

A *part* is a small Parquet file in the lake: first parts of findings, then one of the objects that they
belong to. What a process that dies had not yet put into a part of objects counts as not done; what is in one
is not read again, whichever run comes next.
"""

import contextlib
import io
import multiprocessing
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from privacy_assets.scan.engine import Finding, Scanner
from privacy_assets.scan.objects import ATTEMPTS, Listed, Outcome, State, Store, scan_object
from privacy_assets.scan.plan import OBJECT_BYTES
from privacy_assets.scan.reading import Limits
from privacy_assets.scan.tables import FINDING_COLUMNS, OBJECT_COLUMNS

TAKE = pa.field("take", pa.string(), nullable=False)
"""One reading of one object: findings belong to the object's row of the same take."""
OBJECT_PART = OBJECT_COLUMNS.append(TAKE).append(pa.field("only", pa.string(), nullable=False))
FINDING_PART = FINDING_COLUMNS.append(TAKE)

_BATCH_BYTES = 64 << 20
_BATCH_OBJECTS = 500
_FINDINGS_HELD = 20_000
_SECONDS_HELD = 2.0


class Lake(Protocol):
    """Where parts are put."""

    def write(self, key: str, body: bytes, content_type: str) -> str:
        """Write an object whole."""


@dataclass(frozen=True)
class Planned:
    """An object to read: a ``Listed`` and what it is read for."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str
    only: str = ""


@dataclass(frozen=True)
class Job:
    """What all processes of a scan need to know. It is pickled to each once."""

    bucket: str
    job_id: str
    folder: str
    """The key prefix of the parts."""
    store: Store
    lake: Lake
    scanner: Scanner
    rules: str
    """``Rules.text``."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Failed:
    """An object that failed, for the dead letters."""

    key: str
    etag: str
    why: str
    detail: str
    attempts: int


@dataclass
class Tally:
    """What has been done so far."""

    states: Counter[str] = field(default_factory=Counter)
    findings: int = 0
    bytes: int = 0
    failed: list[Failed] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count what ``other`` counts, too; its failures are left to whoever has them."""
        self.states += other.states
        self.findings += other.findings
        self.bytes += other.bytes


def planned(table: pa.Table) -> Iterator[Planned]:
    """The rows of a shard, as ``plan.WORK``."""
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            yield Planned(**row)


def batches(items: Iterable[Planned]) -> Iterator[list[Planned]]:
    """What one process is given at a time: up to 64 MiB or 500 objects."""
    held: list[Planned] = []
    cost = 0
    for item in items:
        held.append(item)
        cost += item.size + OBJECT_BYTES
        if cost >= _BATCH_BYTES or len(held) >= _BATCH_OBJECTS:
            yield held
            held, cost = [], 0
    if held:
        yield held


class Workers:
    """A pool of processes that scan; one process scans in this one. Use as a context."""

    def __init__(self, job: Job, processes: int) -> None:
        self._job = job
        self._count = max(1, processes)
        self._pool: ProcessPoolExecutor | None = None
        self._context = multiprocessing.get_context("spawn")  # a fork would copy Dagster's threads' locks
        # Shared by the processes, so that progress is seen within a large object.
        self._read: Any = self._context.Value("q", 0)

    def __enter__(self) -> "Workers":
        if self._count > 1:
            self._pool = self._started(self._count)
        else:
            _begin(self._job, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _started(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(count, self._context, initializer=_begin, initargs=(self._job, self._read))

    @property
    def bytes_read(self) -> int:
        """Stored bytes read by all processes so far, of unfinished objects too."""
        return int(self._read.value)

    def scan(self, items: Iterable[Planned], tick: Callable[[], None] | None = None) -> Iterator[Tally]:
        """Scan ``items``; a tally for each batch when its parts are in the lake. ``tick`` is called about
        twice a second while there is nothing new. An object that ends its process three times has failed, and
        the rest goes on. Raises what no object is to blame for.
        """
        work = batches(items)
        if self._pool is None:
            yield from map(_scan_batch, work)
            return
        pending: dict[Future[Tally], list[Planned]] = {}
        while True:
            for batch in islice(work, 2 * self._count - len(pending)):
                pending[self._pool.submit(_scan_batch, batch)] = batch
            if not pending:
                return
            done, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            if not done and tick is not None:
                tick()
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                done = set(pending)  # they all end with it, or have ended before
            suspects: list[Planned] = []
            for future in done:
                batch = pending.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects += batch
                else:
                    yield future.result()
            if suspects:
                yield from self._one_by_one(suspects)
                self._pool = self._started(self._count)

    def _one_by_one(self, suspects: Iterable[Planned]) -> Iterator[Tally]:
        """A process has died, and nobody knows of which object: each is read by itself."""
        pool = self._started(1)
        try:
            for item in suspects:
                for _ in range(ATTEMPTS):
                    try:
                        yield pool.submit(_scan_batch, [item]).result()
                        break
                    except BrokenProcessPool:
                        pool = self._started(1)
                else:
                    yield _crashed(self._job, item)
        finally:
            pool.shutdown(cancel_futures=True)


def _crashed(job: Job, item: Planned) -> Tally:
    """Put on record that ``item`` ends the process that reads it."""
    why, detail = "crashed", "its process ended, of memory or in a library"
    parts = _Parts(job)
    parts.end(Outcome(item, State.FAILED, why, detail, attempts=ATTEMPTS), item.only)
    parts.flush()
    failed = Failed(item.key, item.etag, why, detail, ATTEMPTS)
    return Tally(Counter({State.FAILED.value: 1}), 0, item.size, [failed])


@dataclass
class _Process:
    """What a process holds: its job, a scanner for each choice of detectors, the count of bytes read."""

    job: Job
    read: Any
    scanners: dict[str, Scanner] = field(default_factory=dict)

    def scanner(self, only: str) -> Scanner:
        if not only:
            return self.job.scanner
        if only not in self.scanners:
            self.scanners[only] = self.job.scanner.narrowed(only.split(","))
        return self.scanners[only]


_process: _Process


def _begin(job: Job, read: Any) -> None:
    global _process  # one a process, made by the pool
    _process = _Process(job, read)


def _scan_batch(batch: Sequence[Planned]) -> Tally:
    return scan_batch(_process.job, batch, _process.scanner, _process.read)


def scan_batch(
    job: Job, batch: Sequence[Planned], scanner: Callable[[str], Scanner], read: Any = None
) -> Tally:
    """Scan the objects of ``batch`` in turn; when this returns, all of them are in parts."""
    parts = _Parts(job)
    tally = Tally()
    counted = _Counted(job.store, read)
    for item in batch:
        outcome = scan_object(counted, job.bucket, item, scanner(item.only), parts.take, job.limits)
        parts.end(outcome, item.only)
        tally.states[outcome.state.value] += 1
        tally.findings += outcome.findings
        tally.bytes += item.size
        counted.settle(item.size)
        if outcome.state is State.FAILED:
            tally.failed.append(
                Failed(item.key, outcome.item.etag, outcome.why, outcome.detail, outcome.attempts)
            )
    parts.flush()
    return tally


class _Parts:
    """The rows of a process that are in no part yet."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._now = datetime.now(UTC)
        self._take = ""
        self._objects: list[dict[str, Any]] = []
        self._findings: list[dict[str, Any]] = []
        self._since = time.monotonic()

    def take(self, item: Listed, findings: Iterator[Finding]) -> None:
        """Hold the findings of one reading of ``item``; those of one that broke off belong to no object."""
        self._take = uuid.uuid4().hex
        common = {
            "bucket": self._job.bucket,
            "key": item.key,
            "etag": item.etag,
            "first_seen": self._now,
            "last_seen": self._now,
            "job_id": self._job.job_id,
            "take": self._take,
        }
        for finding in findings:
            self._findings.append({**finding_row(finding), **common})
            if len(self._findings) >= _FINDINGS_HELD:
                self._flush_findings()

    def end(self, outcome: Outcome, only: str) -> None:
        """Hold the row of an object that is done."""
        item = outcome.item
        self._objects.append(
            {
                "bucket": self._job.bucket,
                "key": item.key,
                "etag": item.etag,
                "size": item.size,
                "modified": item.modified,
                "storage_class": item.storage_class,
                "state": outcome.state.value,
                "why": outcome.why,
                "detail": outcome.detail[:500],
                "findings": outcome.findings,
                "text_bytes": outcome.text_bytes,
                "members": outcome.members,
                "rules": self._job.rules,
                "scanned_at": datetime.now(UTC),
                "job_id": self._job.job_id,
                "take": self._take,
                "only": only,
            }
        )
        self._take = ""
        if time.monotonic() - self._since > _SECONDS_HELD:
            self.flush()

    def flush(self) -> None:
        """Put everything held into parts: the findings before the objects that say they are all there."""
        self._flush_findings()
        if self._objects:
            self._write("objects", self._objects, OBJECT_PART)
            self._objects = []
        self._since = time.monotonic()

    def _flush_findings(self) -> None:
        if self._findings:
            self._write("findings", self._findings, FINDING_PART)
            self._findings = []

    def _write(self, kind: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        body = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema), body, compression="zstd")
        name = f"{self._job.folder}{kind}-{uuid.uuid4().hex}.parquet"
        self._job.lake.write(name, body.getvalue(), "application/vnd.apache.parquet")


def finding_row(finding: Finding) -> Mapping[str, Any]:
    """What ``scan_findings`` keeps of a finding, but for its object and times. The value is not in it."""
    return {
        "member": finding.member,
        "detector": finding.detector,
        "detector_version": finding.version,
        "byte_offset": finding.place.byte_offset,
        "length": finding.length,
        "line": finding.place.line,
        "column_name": finding.place.column,
        "row_number": finding.place.row,
        "masked_match": finding.masked,
        "context": finding.context,
        "severity": finding.severity.value,
        "confidence": finding.confidence.name.lower(),
        "closed_at": None,
        "status": "allowed" if finding.allowed else "open",
        "allowed_because": finding.allowed,
    }


class _Counted:
    """A store whose reads are counted while they happen, for progress alone."""

    def __init__(self, store: Store, read: Any) -> None:
        self._store, self._read = store, read
        self._now = 0

    def open(self, bucket: str, item: Listed) -> Any:
        source = self._store.open(bucket, item)
        return source if self._read is None else _CountedFile(source, self._count)

    def head(self, bucket: str, key: str) -> Listed:
        return self._store.head(bucket, key)

    def unreadable(self, error: OSError) -> Any:
        return self._store.unreadable(error)

    def _count(self, size: int) -> None:
        self._now += size
        with self._read.get_lock():
            self._read.value += size

    def settle(self, size: int) -> None:
        """An object of ``size`` is done: however often or little of it was read, it counts once."""
        if self._read is not None:
            self._count(size - self._now)
            self._now = 0


class _CountedFile:
    """A file whose reads are counted."""

    def __init__(self, source: Any, count: Callable[[int], None]) -> None:
        self._source, self._count = source, count

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._source.read(size)
        self._count(len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        size: int = self._source.readinto(buffer)
        self._count(size or 0)
        return size

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._source.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
