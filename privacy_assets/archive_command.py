"""``privacy-assets archive``: what was deleted, one record whole, back into a table, dead letters again."""

import heapq
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Shown
from rich.text import Text

from privacy_assets import redriving
from privacy_assets.archive.restore import (
    Archived,
    Expired,
    Options,
    Outcome,
    Report,
    Restorer,
    Selection,
    Status,
    find,
)
from privacy_assets.archive.restore_assets import governed, line, select, target_name
from privacy_assets.archive.rows import DELETIONS
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate, Table
from privacy_assets.governed import governed_estate
from privacy_assets.query import require_aws

PIPE_WIDTH = 32_000


@dataclass(frozen=True)
class Request:
    """Which records, as the command line has it."""

    table: str
    keys: Sequence[str] = ()
    keys_file: Path | None = None
    subject: str | None = None
    first: str = ""
    until: str = ""
    cause: str = ""

    def selection(self, table: Table) -> Selection:
        """What is selected; keys of the file are a line each. Raises UserError."""
        keys = list(self.keys)
        if self.keys_file is not None:
            try:
                lines = self.keys_file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "not UTF-8"
                raise UserError(f"{self.keys_file}: {why}, expected a key on each line") from None
            keys += [line.strip() for line in lines if line.strip()]
            if not keys:
                raise UserError(f"{self.keys_file}: empty, expected a key on each line")
        return select(
            table, keys=keys, subject=self.subject, first=self.first, until=self.until, cause=self.cause
        )


def list_archived(request: Request, *, limit: int, as_json: bool) -> None:
    """Print the selected deletions, the latest first."""
    _, table = _start(request)
    selected, number = _all(request, table), 0

    def counted() -> Iterator[Archived]:
        nonlocal number
        for row in find(_iceberg(), selected) if _iceberg().exists(DELETIONS) else ():
            number += 1
            yield row

    found = heapq.nlargest(limit, counted(), key=lambda row: row.order)
    if as_json:
        _print_json([_document(row) for row in found])
        return
    shown = Shown(header_style="bold")
    for name in ("deleted at", "cause", "keys", "subject", "bytes", "sequence number"):
        shown.add_column(name, overflow="fold")
    for row in found:
        cells = (row.deleted_at.strftime("%Y-%m-%d %H:%M:%S"), row.cause, row.keys, row.subject or "—")
        shown.add_row(*(Text(cell) for cell in (*cells, f"{row.size:,}", row.sequence)))
    console = Console()
    if not console.is_terminal:  # a pipe has no width to fold at
        console = Console(width=PIPE_WIDTH)
    console.print(shown)
    more = f", the latest {limit:,} of them" if number > limit else ""
    console.print(f"{number:,} deletions of {table.name}{more}", style="dim")


def show(request: Request, *, sequence: str | None) -> None:
    """Print the whole record of a key's latest deletion, or of the one with a sequence number."""
    _, table = _start(request)
    rows = [
        row
        for row in find(_iceberg(), request.selection(table))
        if sequence is None or row.sequence == sequence
    ]
    if not rows:
        raise UserError(f"{table.name}: no such deletion is in the archive")
    row = max(rows, key=lambda each: each.order)
    body = _objects().read(row.path, row.version)
    if body is None:
        raise UserError(f"{table.name}: the object of this deletion is gone: it was erased, or has expired")
    _print_json({**_document(row), "record": json.loads(body)})


def restore(
    request: Request,
    options: Options,
    *,
    to_table: str,
    report_file: Path | None,
    progress_file: Path | None,
    as_json: bool,
) -> int:
    """Restore and print the report; 0 when all that was asked for is in the table, else 1."""
    from resources.items import TablesResource

    estate, table = _start(request)
    selection = request.selection(table)
    target = TablesResource().table(target_name(estate, table, to_table, overwrite=options.overwrite))
    restorer = Restorer(table=table, store=_iceberg(), source=_objects(), target=target, erasures=_erasures())
    progress = FileProgress(progress_file) if progress_file and not options.dry_run else None
    log = _recorder(table, target.name, options)
    if progress:
        progress.check()
    with _account(report_file) as account, _bar() as bar:
        log("begun", {})  # nothing is restored that the ledger doesn't know of
        task = bar.add_task("looking" if options.dry_run else "restoring", total=None)

        def advance(report: Report) -> None:
            bar.update(task, completed=sum(report.counts.values()))

        report = restorer.run(selection, options, account=account, advance=advance, progress=progress)
    log("completed", report.counts)
    if as_json:
        _print_json({"table": target.name, "dry_run": options.dry_run, **report.document()})
    else:
        _print_report(report, target.name, dry_run=options.dry_run)
    return 0 if report.complete else 1


def write_request(request: Request) -> None:
    """Put keys and subject into a file of the lake, and print the config of Dagster's job that names it."""
    from resources import settings
    from resources.s3 import LakeResource

    _, table = _start(request)
    selection = request.selection(table)
    asked: dict[str, Any] = {"keys": selection.keys, "subject": selection.subject}
    lake = LakeResource(bucket=settings.LAKE_BUCKET.value())
    body = json.dumps({name: value for name, value in asked.items() if value}).encode()
    uri = lake.write(f"restores/requests/{uuid.uuid4().hex}.json", body, "application/json")
    config = {
        "table": table.name,
        "request": uri,
        "deleted_from": request.first,
        "deleted_to": request.until,
        "cause": request.cause,
        "dry_run": True,
        "approved_by": "",
    }
    _print_json({"ops": {"archive__restored": {"config": config}}})


def redrive(*, as_json: bool) -> None:
    """Send all dead letters back to the queue; print how many, by the reason that they had."""
    from resources import settings
    from resources.deletions import DeletionQueueResource

    require_aws()
    queue = DeletionQueueResource(
        queue=settings.DELETION_QUEUE.value(),
        dead_letters=settings.DELETION_DEAD_LETTER_QUEUE.value(),
        pipe_dead_letters=settings.PIPE_DEAD_LETTER_QUEUE.value(),
    )
    redriving.redrive(queue, as_json=as_json)


# --- what they share


def _start(request: Request) -> tuple[Estate, Table]:
    estate = governed_estate()
    table = governed(estate, request.table)
    require_aws()
    return estate, table


def _all(request: Request, table: Table) -> Selection:
    """A selection that may be of the whole table: to look does no harm."""
    if (
        request.keys
        or request.keys_file
        or request.subject
        or request.first
        or request.until
        or request.cause
    ):
        return request.selection(table)
    return Selection(table.name)


def _iceberg() -> Any:
    from resources import settings
    from resources.iceberg import IcebergResource

    return IcebergResource(database=settings.GLUE_DATABASE.value(), bucket=settings.LAKE_BUCKET.value())


def _objects() -> Any:
    from resources import settings
    from resources.archive import ArchiveResource

    return ArchiveResource(bucket=settings.ARCHIVE_BUCKET.value())


def _erasures() -> Any:
    from resources import settings
    from resources.erasures import ErasuresResource

    return ErasuresResource(table=settings.ERASURE_TABLE.value(), key_id=settings.ARCHIVE_KEY.value())


def _recorder(table: Table, target: str, options: Options) -> Callable[[str, Mapping[str, int]], None]:
    """Logs what a restore does, unless it is a dry run; the actor is who is logged in, masked."""
    stream = f"restore-{uuid.uuid4()}"

    def log(act: str, counts: Mapping[str, int]) -> None:
        from privacy_assets.ledger import Event, record
        from privacy_assets.ledger_command import own_ledger
        from privacy_assets.login import login
        from privacy_assets.masking import mask

        if not options.dry_run:
            details = {"table": table.name, "to_table": target, "overwrite": options.overwrite}
            who = f"command:{mask(login())}"
            event = Event(f"restore.{act}", who, stream=stream, counts=dict(counts), details=details)
            record(own_ledger(), event, once=f"{stream}/{act}")

    return log


def _document(row: Archived) -> dict[str, Any]:
    return {
        "keys": json.loads(row.keys),
        "subject": row.subject,
        "deleted_at": row.deleted_at.isoformat(),
        "cause": row.cause,
        "size": row.size,
        "sequence_number": row.sequence,
        "path": row.path,
        "version": row.version,
    }


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _print_report(report: Report, table: str, *, dry_run: bool) -> None:
    console = Console()
    shown = Shown(title=f"{table}{': what a restore would do' if dry_run else ''}", title_justify="left")
    shown.add_column("outcome")
    shown.add_column("records", justify="right")
    for status in Status:
        if report.counts[status.value]:
            shown.add_row(status.value, f"{report.counts[status.value]:,}")
    console.print(shown if report.counts else "nothing in the archive is selected")
    for request, count in report.requests.items():
        console.print(f"{count:,} refused: the erasure of their subject, request {request}")


@contextmanager
def _account(path: Path | None) -> "Iterator[FileAccount | None]":
    """Writes each record's outcome as a line of JSON, where a file was named."""
    if path is None:
        yield None
        return
    try:
        file = path.open("ab")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a file to write the report to") from None
    with file:
        yield FileAccount(file)


class FileAccount:
    """The report of a restore in a file, which is open for appending."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def tell(self, outcome: Outcome) -> None:
        self._file.write(line(outcome).encode())

    def mark(self) -> int:
        """Have it written; how many bytes it has."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def go_back(self, mark: int) -> None:
        """Cut off what is behind; what somebody else has cut off is not made up for."""
        self._file.truncate(min(mark, self.mark()))


def _bar() -> Progress:
    """On stderr, and only for a person."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class FileProgress:
    """How far a restore is, in a file: run again with the same file it goes on from there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise UserError(f"{self._path}: expected the progress of a restore, or no file") from None
        return found

    def save(self, done: Mapping[str, Any]) -> None:
        partial = self._path.with_name(self._path.name + ".part")
        partial.write_text(json.dumps(done))
        partial.replace(self._path)

    def check(self) -> None:
        """Raises UserError where nothing can be read or noted, before anything is done."""
        if self._path.exists():
            self.load()
            return
        try:
            self._path.touch()
        except OSError as error:
            raise UserError(
                f"{self._path}: {error.strerror}, expected a file to note the progress in"
            ) from None
        self._path.unlink()

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def options(*, dry_run: bool, overwrite: bool, expired: str, move_days: int) -> Options:
    """Options as the command line has them. Raises UserError."""
    try:
        how = Expired(expired)
    except ValueError:
        raise UserError(f"--expired {expired!r}: expected one of {', '.join(Expired)}") from None
    return Options(dry_run=dry_run, overwrite=overwrite, expired=how, move_days=move_days)
