"""``archive/restored``: a restore as a run of Dagster, with an approval, a record and lineage.

A run's config is kept in Dagster's storage, where no personal value belongs. So keys and subjects are not
written there: they stand in a file of the lake, a JSON object of ``keys`` (DynamoDB JSON) or ``subject``,
that the config names. ``privacy-assets archive restore --request`` writes it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from privacy_assets.archive import names
from privacy_assets.archive.records import Cause
from privacy_assets.archive.restore import (
    Expired,
    Options,
    Outcome,
    Report,
    Restorer,
    Selection,
    parse_key,
    parse_time,
)
from privacy_assets.errors import UserError
from privacy_assets.estate import Estate, Table
from privacy_assets.ledger import record
from privacy_assets.masking import mask
from privacy_assets.recording import event, name
from privacy_assets.snapshot import names as snapshot_names
from resources.archive import ArchiveResource
from resources.erasures import ErasuresResource
from resources.iceberg import IcebergResource
from resources.items import NoSuchTable, TablesResource
from resources.ledger import LedgerResource
from resources.s3 import LakeResource

_PAGE = 10_000


class RestoreConfig(dg.Config):
    """What to restore and how. ``approved_by`` must name who approved; a dry run needs nobody."""

    table: str
    request: str = ""
    deleted_from: str = ""
    deleted_to: str = ""
    cause: str = ""
    to_table: str = ""
    overwrite: bool = False
    expired: str = "leave"
    move_days: int = 30
    dry_run: bool = True
    approved_by: str = ""


def restored_asset(estate: Estate) -> dg.AssetsDefinition:
    """The asset of restores; each materialization is one."""

    @dg.asset(
        key=names.RESTORED_KEY,
        deps=[names.DELETIONS_KEY, *(snapshot_names.source_key(noun) for noun in estate.nouns)],
        group_name="archive",
        owners=["team:privacy"],
        kinds={"dynamodb", "s3"},
        description=(
            "Deleted records put back into their table. A dry run unless `dry_run` is false and "
            "`approved_by` says who approved."
        ),
    )
    def restored(
        context: dg.AssetExecutionContext,
        config: RestoreConfig,
        archive: ArchiveResource,
        iceberg: IcebergResource,
        erasures: ErasuresResource,
        tables: TablesResource,
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult[Any]:
        def log(act: str, **fields: Any) -> None:
            if not config.dry_run:
                details = {
                    "table": config.table,
                    "to_table": config.to_table or config.table,
                    "overwrite": config.overwrite,
                }
                stream, actor = context.run.root_run_id or context.run.run_id, mask(config.approved_by)
                done = event(
                    context, estate, f"restore.{act}", actor=actor, stream=stream, details=details, **fields
                )
                record(ledger, done, once=name(context, act))

        try:
            report = _restore(
                context, estate, config, archive, iceberg, erasures, tables, lake, lambda: log("begun")
            )
        except (UserError, NoSuchTable) as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        log("completed", counts=dict(report.counts))
        return dg.MaterializeResult(
            metadata={
                **report.document(),
                "report": dg.MetadataValue.url(lake.console_url(_report_of(context))),
                "table": config.table,
                "to_table": config.to_table or config.table,
                "dry_run": config.dry_run,
                "approved_by": config.approved_by or "nobody: a dry run",
            }
        )

    return restored


def _restore(
    context: dg.AssetExecutionContext,
    estate: Estate,
    config: RestoreConfig,
    archive: ArchiveResource,
    iceberg: IcebergResource,
    erasures: ErasuresResource,
    tables: TablesResource,
    lake: LakeResource,
    begin: Callable[[], None],
) -> Report:
    if not config.dry_run and not config.approved_by:
        raise UserError("approved_by: expected who approved the restore, or dry_run")
    table = governed(estate, config.table)
    asked = json.loads(lake.read(lake.key(config.request))) if config.request else {}
    selection = select(
        table,
        keys=asked.get("keys"),
        subject=asked.get("subject"),
        first=config.deleted_from,
        until=config.deleted_to,
        cause=config.cause,
    )
    options = Options(
        dry_run=config.dry_run,
        overwrite=config.overwrite,
        expired=Expired(config.expired),
        move_days=config.move_days,
    )
    restorer = Restorer(
        table=table,
        store=iceberg,
        source=archive,
        target=tables.table(target_name(estate, table, config.to_table, overwrite=config.overwrite)),
        erasures=erasures,
    )
    run_id = context.run.root_run_id or context.run.run_id
    begin()  # nothing is restored that the ledger doesn't know of
    return restorer.run(
        selection,
        options,
        account=LakeAccount(lake, _report_of(context)),
        advance=lambda so_far: context.log.info(f"{sum(so_far.counts.values()):,} records looked at"),
        progress=None if config.dry_run else LakeProgress(lake, f"restores/{run_id}/progress.json"),
    )


def _report_of(context: dg.AssetExecutionContext) -> str:
    """Where the run's report is; a run that goes on with another goes on with its report."""
    return f"restores/{context.run.root_run_id or context.run.run_id}/report/"


def line(outcome: Outcome) -> str:
    """An outcome as a report has it, with its end of line."""
    found = {"keys": json.loads(outcome.keys), "status": outcome.status.value, "reason": outcome.reason}
    return json.dumps(found) + "\n"


def governed(estate: Estate, noun: str) -> Table:
    """A table by its noun or its name in DynamoDB. Raises UserError."""
    for table in estate.tables:
        if noun in (table.name, table.table):
            return table
    raise UserError(f"table {noun!r}: not governed, expected one of {', '.join(estate.nouns)}")


def select(table: Table, *, keys: Any, subject: str | None, first: str, until: str, cause: str) -> Selection:
    """The selection that was asked for. Raises UserError."""
    if not (keys or subject or first or until or cause):
        raise UserError("nothing selected: expected keys, a subject, a time range or a cause")
    try:
        why = Cause(cause) if cause else None
    except ValueError:
        raise UserError(f"cause {cause!r}: expected one of {', '.join(Cause)}") from None
    since, before = (parse_time(first) if first else None, parse_time(until, end=True) if until else None)
    if since and before and since >= before:
        raise UserError(f"--from {first} --to {until}: expected a time before another")
    return Selection(
        noun=table.name,
        keys=tuple(parse_key(each if isinstance(each, str) else json.dumps(each), table) for each in keys)
        if keys
        else None,
        subject=subject or None,
        first=since,
        until=before,
        cause=why,
    )


def target_name(estate: Estate, table: Table, to_table: str, *, overwrite: bool) -> str:
    """The table in DynamoDB that is restored to. Raises UserError."""
    if overwrite and to_table not in ("", table.name, table.table):
        raise UserError(
            "--overwrite with --to-table: what another table loses would have no place in the archive"
        )
    for each in estate.tables:
        if to_table == each.name:
            return each.table
    return to_table or table.table


class LakeAccount:
    """The report of a restore: JSON lines in objects of the lake, ten thousand in each at most, so that
    memory does not grow with the records.
    """

    def __init__(self, lake: LakeResource, prefix: str) -> None:
        self._lake, self._prefix = lake, prefix
        self._lines: list[str] = []
        self._pages = 0

    def tell(self, outcome: Outcome) -> None:
        self._lines.append(line(outcome))
        if len(self._lines) >= _PAGE:
            self.mark()

    def mark(self) -> int:
        """Write the page; how many there are."""
        if self._lines:
            name = f"{self._prefix}{self._pages + 1:06}.jsonl"
            self._lake.write(name, "".join(self._lines).encode(), "application/x-ndjson")
            self._pages += 1
            self._lines.clear()
        return self._pages

    def go_back(self, mark: int) -> None:
        """Delete the pages behind the ``mark``-th."""
        self._lake.delete([page.key for page in self._lake.list(self._prefix)][mark:])
        self._lines.clear()
        self._pages = mark


class LakeProgress:
    """How far a restore is, as an object of the lake."""

    def __init__(self, lake: LakeResource, key: str) -> None:
        self._lake, self._key = lake, key

    def load(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._lake.read(self._key))
        except FileNotFoundError:
            return None
        return found

    def save(self, done: Mapping[str, Any]) -> None:
        self._lake.write(self._key, json.dumps(done).encode(), "application/json")

    def clear(self) -> None:
        self._lake.delete([self._key])
