"""``privacy-assets scan``: files of this machine or objects of buckets, read now, told on the terminal.

Nothing is stored and no run is made; what is found is what a scan of the bucket's asset would find.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from privacy_assets.errors import UserError
from privacy_assets.scan.engine import Finding
from privacy_assets.scan.export import csv_rows, json_lines, record, sarif
from privacy_assets.scan.files import Files, files
from privacy_assets.scan.objects import Listed, Outcome, State, Store, scan_object
from privacy_assets.scan.ordered import ordered
from privacy_assets.scan.rules import RuleSet, load_rules
from privacy_assets.scan.tables import FINDINGS, OBJECTS
from privacy_assets.scan.work import Job, Planned, Workers, finding_row

SEVERITIES = ("low", "medium", "high", "critical")
CONFIDENCES = ("low", "medium", "high")
SMALL = 32 << 20
"""Up to so many bytes one process is faster than starting several."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    targets: Sequence[str]
    form: str = "table"
    fail_on: str = "low"
    confidence: str = "low"
    reveal: bool = False
    detectors: Sequence[str] = ()
    rules: Path | None = None
    processes: int | None = None


@dataclass
class Told:
    """What has been seen so far."""

    findings: Counter[tuple[str, str, str]]
    """By source, detector and severity."""
    unread: list[tuple[str, str, str]]
    """Source, state, reason."""
    objects: int = 0
    bytes: int = 0


def scan(request: Request) -> int:
    """Scan, print, and answer the exit code: 1 with findings at or above ``fail_on``, 0 without.

    Raises UserError for what can't be scanned, and for detectors and files of rules that can't be used.
    """
    rules = load_rules(request.rules, request.detectors)
    targets = [_target(target) for target in request.targets]
    told = Told(Counter(), [])
    errors = Console(stderr=True)
    for entry in rules.allow.expired if rules.allow else ():
        errors.print(
            Text(f"allowed until {entry.expires}, so found again: {entry.reason}"),
            style="yellow",
            soft_wrap=True,
        )
    records = _records(request, rules, targets, told, errors)
    least = CONFIDENCES.index(request.confidence)
    worst = -1

    def counted() -> Iterator[Record]:
        nonlocal worst
        for found in records:
            if CONFIDENCES.index(found["confidence"]) < least:
                continue
            told.findings[found["source"], found["detector"], found["severity"]] += 1
            worst = max(worst, SEVERITIES.index(found["severity"]))
            yield found

    if request.form == "json":
        json_lines(_flushed(counted(), sys.stdout), sys.stdout)
    elif request.form == "csv":
        csv_rows(counted(), sys.stdout)
    elif request.form == "sarif":
        sarif(counted(), rules.titles, version("privacy-assets"), sys.stdout)
    elif request.reveal:
        _print_revealed(counted())
    else:
        for _ in counted():
            pass
        _print_table(told)
    _print_unread(told, errors)
    return 1 if worst >= SEVERITIES.index(request.fail_on) else 0


def export(bucket: str, form: str, status: str) -> None:
    """Print the stored findings of ``bucket`` with ``status`` (``all``: any): ``json``, ``csv``, ``sarif``.

    Raises UserError when the bucket was never scanned.
    """
    from privacy_assets.query import require_aws
    from resources import settings
    from resources.iceberg import IcebergResource

    require_aws()
    iceberg = IcebergResource(database=settings.GLUE_DATABASE.value(), bucket=settings.LAKE_BUCKET.value())
    if not iceberg.exists(OBJECTS) or (bucket,) not in iceberg.count(OBJECTS, ["bucket"]):
        raise UserError(f"{bucket}: never scanned, expected a bucket with a materialized scan/findings")
    where: dict[str, list[str]] = {"bucket": [bucket]} | ({} if status == "all" else {"status": [status]})
    rows = ordered(iceberg.batches(FINDINGS, where=where), ("key", "member", "byte_offset", "detector"))
    found = (record(f"s3://{bucket}/{row['key']}", row) for row in rows)
    if form == "csv":
        csv_rows(found, sys.stdout)
    elif form == "sarif":
        path = settings.DETECTORS.value()
        sarif(found, load_rules(Path(path) if path else None).titles, version("privacy-assets"), sys.stdout)
    else:
        json_lines(found, sys.stdout)


def _flushed(records: Iterator[Record], out: TextIO) -> Iterator[Record]:
    """Each record is out when the next one is asked for: a reader at the pipe's end sees it."""
    for found in records:
        yield found
        out.flush()


@dataclass(frozen=True)
class _Target:
    """One argument: where its objects are and how they are called."""

    store: Store
    bucket: str
    items: Callable[[], Iterable[Sequence[Listed]]]
    source: Callable[[str], str]


def _target(text: str) -> _Target:
    if not text.startswith("s3://"):
        path = Path(text)
        if not path.exists():
            raise UserError(f"{text}: no such file or folder; expected a path or s3://bucket/prefix")
        return _Target(Files(), "", lambda: files(path), lambda key: key)
    from privacy_assets.query import require_aws
    from resources.buckets import BucketsResource, ObjectUnreadable

    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{text}: no bucket, expected s3://bucket/prefix")
    require_aws()
    store = BucketsResource()

    def listed() -> Iterator[Sequence[Listed]]:
        try:
            yield from store.list(bucket, prefix)
        except ObjectUnreadable as error:
            raise UserError(
                f"s3://{bucket}: {error.why} ({error.detail}), expected a bucket to list"
            ) from None

    return _Target(store, bucket, listed, lambda key: f"s3://{bucket}/{key}")


def _records(
    request: Request, rules: RuleSet, targets: Sequence[_Target], told: Told, errors: Console
) -> Iterator[Record]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    ) as progress:
        for target in targets:
            items = [item for page in target.items() for item in page]
            total = sum(item.size for item in items)
            task = progress.add_task(f"{len(items):,} objects", total=total)
            tick = partial(_tick, progress, task)
            several = len(items) > 1 and total > SMALL
            processes = request.processes or (len(os.sched_getaffinity(0)) if several else 1)
            if request.reveal:  # values are in no part
                found = _one_by_one(target, items, rules, told, tick)
            else:
                found = _by_parts(target, items, rules, told, processes, tick)
            yield from found


def _tick(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def _one_by_one(
    target: _Target, items: Sequence[Listed], rules: RuleSet, told: Told, tick: Callable[[int], None]
) -> Iterator[Record]:
    """Objects in turn in this process, their values with them."""
    scanner = rules.scanner()
    for item in items:
        held: list[Record] = []

        def take(item: Listed, findings: Iterator[Finding], held: list[Record] = held) -> None:
            held.clear()
            for finding in findings:
                row = finding_row(finding)
                if row["status"] != "allowed":
                    held.append({**record(target.source(item.key), row), "value": finding.value})

        outcome = scan_object(target.store, target.bucket, item, scanner, take)
        _count(told, target, outcome.item.key, outcome.state.value, _why(outcome), item.size)
        tick(told.bytes)
        for found in held:
            found.pop("status", None)
            yield found


def _by_parts(
    target: _Target,
    items: Sequence[Listed],
    rules: RuleSet,
    told: Told,
    processes: int,
    tick: Callable[[int], None],
) -> Iterator[Record]:
    """Objects by one or several processes, which leave parts in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="privacy-assets-scan-") as name:
        parts = _Parts(Path(name))
        job = Job(target.bucket, "", "", target.store, _Folder(name), rules.scanner(), rules.rules.text)
        planned = (Planned(i.key, i.size, i.etag, i.modified, i.storage_class) for i in items)
        with Workers(job, processes) as workers:
            for _ in workers.scan(planned, lambda: tick(workers.bytes_read)):
                tick(workers.bytes_read)
                yield from parts.new(target, told)
        yield from parts.new(target, told)


@dataclass(frozen=True)
class _Folder:
    """A lake that is a folder."""

    path: str

    def write(self, key: str, body: bytes, content_type: str) -> str:  # noqa: ARG002  # as a lake's
        """Write a part whole: it has its name only when it is complete."""
        place = Path(self.path, key)
        Path(f"{place}.part").write_bytes(body)
        Path(f"{place}.part").rename(place)
        return str(place)


class _Parts:
    """Parts that are told once their objects are. Held are names, never findings: an object may have many."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, set[str]] = {}
        """Parts of findings, and the readings whose findings are in them and not told yet."""

    def new(self, target: _Target, told: Told) -> Iterator[Record]:
        """The findings of the objects that are new in the folder."""
        # The objects' parts are listed first: the findings of all in them are there by then.
        objects = sorted(self._folder.glob("objects-*.parquet"))
        for path in sorted(set(self._folder.glob("findings-*.parquet")) - self._files.keys()):
            self._files[path] = set(pq.read_table(path, columns=["take"])["take"].to_pylist())
        done: set[str] = set()
        for path in objects:
            for row in pq.read_table(path).to_pylist():
                why = f"{row['why']}: {row['detail']}" if row["detail"] else row["why"]
                _count(told, target, row["key"], row["state"], why, row["size"])
                done.add(row["take"])
            path.unlink()
        for path, takes in list(self._files.items()):
            if takes & done:
                yield from self._told(target, path, takes & done)
                takes -= done
            if not takes:
                del self._files[path]
                path.unlink()

    def _told(self, target: _Target, path: Path, takes: set[str]) -> Iterator[Record]:
        for batch in pq.ParquetFile(path).iter_batches(1000):
            for found in batch.to_pylist():
                if found["take"] in takes and found["status"] != "allowed":
                    told_as = record(target.source(found["key"]), found)
                    for name in ("status", "first_seen", "last_seen"):
                        told_as.pop(name, None)
                    yield told_as


def _why(outcome: Outcome) -> str:
    return f"{outcome.why}: {outcome.detail}" if outcome.detail else outcome.why


def _count(told: Told, target: _Target, key: str, state: str, why: str, size: int) -> None:
    told.objects += 1
    told.bytes += size
    if state not in (State.CLEAN.value, State.FINDINGS.value):
        told.unread.append((target.source(key), state, why))


def print_detectors(path: Path | None) -> None:
    """All detectors, those of ``path`` too: name, severity, what it is."""
    rules = load_rules(path)
    shown = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("detector", "severity", "what it finds"):
        shown.add_column(name)
    for detector in sorted(rules.detectors, key=lambda one: one.name):
        shown.add_row(detector.name, detector.severity.value, detector.title)
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


def _print_table(told: Told) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    if told.findings:
        shown = Table(header_style="bold", box=None, pad_edge=False)
        for name in ("source", "detector", "severity"):
            shown.add_column(name, overflow="fold")
        shown.add_column("findings", justify="right")
        order = {name: number for number, name in enumerate(reversed(SEVERITIES))}
        rows = sorted(told.findings.items(), key=lambda row: (row[0][0], order[row[0][2]], row[0][1]))
        last = ""
        for (source, detector, severity), number in rows:
            style = {"critical": "bold red", "high": "red", "medium": "yellow"}.get(severity, "")
            shown.add_row(
                Text(source if source != last else ""), detector, Text(severity, style=style), f"{number:,}"
            )
            last = source
        console.print(shown)
    total = sum(told.findings.values())
    read = told.objects - len(told.unread)
    console.print(
        f"{total:,} {'finding' if total == 1 else 'findings'} in {told.objects:,} "
        f"{'object' if told.objects == 1 else 'objects'}, {read:,} of them read to the end",
        style="dim",
        highlight=False,
    )


def _print_revealed(records: Iterable[Record]) -> None:
    """Each finding with its value: somebody asked for it by name."""
    console = Console(soft_wrap=True, highlight=False)
    for found in records:
        place = f":{found['line']}" if found["line"] else ""
        if found["column"]:
            place = f" {found['column']}:{found['row']}"
        where = found["source"] + (f"!{found['member']}" if found["member"] else "") + place
        console.print(Text(f"{where} @{found['byte_offset']} {found['detector']} {found['value']}"))


def _print_unread(told: Told, errors: Console) -> None:
    shown = told.unread[:20]
    for source, state, why in shown:
        errors.print(Text(f"{state}: {source}: {why}"), style="yellow", soft_wrap=True, highlight=False)
    if len(told.unread) > len(shown):
        errors.print(f"… and {len(told.unread) - len(shown):,} more not read to their end", style="yellow")
