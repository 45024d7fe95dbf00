"""The three assets of every governed table: its export, the export as DynamoDB wrote it, the typed snapshot.

Their state is AWS's, not Dagster's: the export is found by what it exports, the catalog's partitions say
which export a day is read from.  So a run that died anywhere is simply run again.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from privacy_assets.estate import Column, Estate, Table, deadline_cron
from privacy_assets.ledger import record
from privacy_assets.partitions import daily, snapshot_date
from privacy_assets.recording import event, name
from privacy_assets.snapshot import crawl, exports, manifest, names, typing_sql
from privacy_assets.snapshot.survey import (
    Survey,
    parameters,
    read_survey,
    shown_counts,
    shown_name,
    shown_type,
)
from resources.athena import AthenaQueryFailed, AthenaResource, QueryResult
from resources.backoff import Backoff, DeadlineExceeded
from resources.dynamodb import Export, ExportRefused, ExportsResource
from resources.glue import GlueResource, Partition
from resources.ledger import LedgerResource
from resources.s3 import LakeResource
from resources.settings import CRAWL_DEADLINE_SECONDS, EXPORT_DEADLINE_SECONDS

GROUP = "snapshot"
_SHOWN = 50
_ORPHANS_REST = timedelta(hours=24)  # a reader may be in the middle of files that are no longer pointed at
_OF_THE_STATEMENT = re.compile(r"\bline \d+:\d+")  # such a reason quotes the statement, others the data
_RETRY = dg.RetryPolicy(max_retries=2, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def snapshot_assets(estate: Estate) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All assets of the domain, with the DynamoDB tables as outside data."""
    found: list[dg.AssetsDefinition | dg.AssetSpec] = []
    for table in estate.tables:
        found += [_source(table), _export(estate, table), _raw(estate, table), _typed(estate, table)]
    return found


def _source(table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.source_key(table.name),
        description=table.description or f"The DynamoDB table {table.table}.",
        group_name=GROUP,
        kinds={"dynamodb"},
        owners=[table.owner],
        metadata={"table": table.table, "dagster/column_schema": _schema(table, lambda c: f"{c.type.value}")},
    )


def _asset(
    estate: Estate, table: Table, key: list[str], deps: list[list[str]], **arguments: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """``dagster.asset`` with what all three have in common."""
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        key=key,
        deps=deps,
        partitions_def=daily(estate),
        group_name=GROUP,
        owners=[table.owner],
        tags={"table": table.name},
        retry_policy=_RETRY,
        **arguments,
    )
    return decorator


def _export(estate: Estate, table: Table) -> dg.AssetsDefinition:
    @_asset(
        estate,
        table,
        key=names.export_key(table.name),
        deps=[names.source_key(table.name)],
        kinds={"dynamodb", "s3"},
        description=(
            f"Asks DynamoDB to export {table.table} as it was at the end of the day, and returns at once. "
            "Materializing it again finds the same export and pays nothing."
        ),
    )
    def export(
        context: dg.AssetExecutionContext,
        dynamodb_exports: ExportsResource,
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult[Any]:
        day = snapshot_date(context)
        try:
            started = exports.find_or_start(dynamodb_exports, table.table, lake.bucket, table.name, day)
        except ExportRefused as refused:
            raise dg.Failure(description=str(refused), allow_retries=False) from None
        asked = event(context, estate, "export.started", **_told(table, day, started.export.id))
        record(ledger, asked, once=f"export/{started.export.id}")  # whichever run started it
        return dg.MaterializeResult(
            metadata={
                **_export_metadata(started.export, lake),
                "attempt": started.attempt,
                "reused": started.reused,
                "failed_attempts": list(started.failures),
            }
        )

    return export


def _raw(estate: Estate, table: Table) -> dg.AssetsDefinition:
    key, days = names.raw_key(table.name), daily(estate)

    @_asset(
        estate,
        table,
        key=key,
        deps=[names.export_key(table.name)],
        kinds={"glue", "s3", "json"},
        description=(
            f"The export of {table.table} in the Glue catalog, as DynamoDB wrote it: "
            f"`{names.raw_table(table.name)}` as the crawler made it, and "
            f"`{names.lines_table(table.name)}`, one line an item, which the typed snapshot is made of."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "data_files_intact",
                asset=key,
                partitions_def=days,
                blocking=True,
                description="Every data file is there and has the manifest's MD5; their items add up.",
            ),
            dg.AssetCheckSpec(
                "crawl_agrees",
                asset=key,
                partitions_def=days,
                description="The crawler found the files and bytes that the export's manifests name.",
            ),
        ],
        pool=f"crawler_{table.name}",
    )
    def raw(
        context: dg.AssetExecutionContext,
        dynamodb_exports: ExportsResource,
        lake: LakeResource,
        glue: GlueResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        day = snapshot_date(context)
        export = _completed(context, dynamodb_exports, table, day)
        said = manifest.read_manifest(export.folder, lake.read)
        objects = {item.key: item for item in lake.list(f"{export.folder}data/")}
        wrong = manifest.wrong_files(said.files, {key: item.etag for key, item in objects.items()}, lake.md5)
        sizes = {file.key: objects[file.key].size if file.key in objects else 0 for file in said.files}
        crawls, found = _crawl(glue, table, export, said, sizes)
        disagreements = crawl.disagreements(said, sizes, [partition.parameters for partition in found])
        intact = not wrong and said.listed_items == said.items
        if intact:
            _point_lines(glue, lake, table, day.isoformat(), export, said)
        yield dg.MaterializeResult(
            metadata={
                **_export_metadata(export, lake),
                "items": said.items,
                "files": len(said.files),
                "dagster/uri": lake.uri(f"{export.folder}data/"),
                "bytes": dg.MetadataValue.int(sum(sizes.values())),
                "crawls": crawls,
                "raw_table": f"{glue.database}.{names.raw_table(table.name)}",
                "dagster/column_schema": _table_schema(
                    [
                        (shown_name(name), shown_type(kind))
                        for name, kind in glue.columns(names.raw_table(table.name))
                    ]
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="data_files_intact",
                    passed=intact,
                    metadata={
                        "files": len(said.files),
                        "wrong": dict(list(wrong.items())[:_SHOWN]),
                        "items": said.items,
                        "items_in_files": said.listed_items,
                    },
                ),
                dg.AssetCheckResult(
                    check_name="crawl_agrees",
                    passed=not disagreements,
                    metadata={"partitions": len(found), "disagreements": disagreements},
                ),
            ],
        )

    return raw


def _completed(
    context: dg.AssetExecutionContext, resource: ExportsResource, table: Table, day: exports.SnapshotDate
) -> Export:
    """The day's export once it is complete; waits for one in progress.  Raises dagster.Failure."""
    prefix = exports.export_prefix(table.name, day)
    try:
        found = resource.find(resource.table_arn(table.table), exports.export_instant(day), prefix)
    except ExportRefused as refused:
        raise dg.Failure(description=str(refused), allow_retries=False) from None
    export = exports.best(found)
    if export is None:
        why = f"the export FAILED ({found[-1].failure})" if found else "there is no export of this day"
        asset = "/".join(names.export_key(table.name))
        raise dg.Failure(description=f"{table.table}: {why}; materialize {asset} first", allow_retries=False)

    arn = export.arn

    def ended() -> Export | None:
        now = resource.describe(arn)
        return None if now.status == "IN_PROGRESS" else now

    if export.status != "COMPLETED":
        context.log.info(f"waiting for {arn}")
        wait = Backoff(EXPORT_DEADLINE_SECONDS.number(), first=0.5, cap=60)
        try:
            export = wait.until(ended, f"{table.table}: export {arn}")
        except DeadlineExceeded as late:
            raise dg.Failure(description=f"{late}; it goes on", allow_retries=False) from None
    if export.status != "COMPLETED":
        raise dg.Failure(description=f"{table.table}: export {arn} {export.status}: {export.failure}")
    return export


def _crawl(
    glue: GlueResource,
    table: Table,
    export: Export,
    said: manifest.Manifest,
    sizes: Mapping[str, int],
) -> tuple[int, list[Partition]]:
    """Crawl until the export's partition is there; how many crawls that took, and the partitions."""
    name = names.crawler(glue.database, table.name)
    day = export.prefix.rsplit("snapshot_date=", 1)[-1].strip("/")

    def partitions() -> list[Partition]:
        found = glue.partitions(names.raw_table(table.name), f"snapshot_date = '{day}'")
        return [partition for partition in found if export.id in partition.values]

    def agrees() -> bool:
        parameters = [partition.parameters for partition in partitions()]
        return bool(parameters) and not crawl.disagreements(said, sizes, parameters)

    wait = Backoff(CRAWL_DEADLINE_SECONDS.number(), first=0.1, cap=15)
    return crawl.crawl(glue, name, wait, agrees), partitions()


def _point_lines(
    glue: GlueResource, lake: LakeResource, table: Table, day: str, export: Export, said: manifest.Manifest
) -> None:
    lines = names.lines_table(table.name)
    glue.ensure_table(
        lines,
        typing_sql.LINES_COLUMNS,
        typing_sql.PARTITION_KEYS,
        lake.uri(f"exports/{table.name}/"),
        "lines",
        f"The items of {table.table}, one line of DynamoDB JSON each",
    )
    glue.point(
        lines,
        [day],
        lake.uri(f"{export.folder}data/"),
        typing_sql.LINES_COLUMNS,
        "lines",
        {
            "export_id": export.id,
            "export_arn": export.arn,
            "export_time": export.export_time.isoformat(),
            "item_count": str(said.items),
        },
    )


def _typed(estate: Estate, table: Table) -> dg.AssetsDefinition:
    key, days = names.typed_key(table.name), daily(estate)
    cron, earlier = deadline_cron(table)

    @_asset(
        estate,
        table,
        key=key,
        deps=[names.raw_key(table.name)],
        kinds={"athena", "parquet"},
        description=(
            f"{table.table} as it was at the end of the day, typed by estate.yaml: Parquet that Athena "
            f"wrote, in the Glue table `{table.name}`. Values that did not fit their column are in "
            "`misfits`, the names of attributes nobody declared in `undeclared`."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "item_count",
                asset=key,
                partitions_def=days,
                blocking=True,
                description="The snapshot has as many rows as the export's manifests name items.",
            ),
            dg.AssetCheckSpec(
                "keys_unique",
                asset=key,
                partitions_def=days,
                blocking=True,
                description="Every row has its key, and no key stands twice.",
            ),
            dg.AssetCheckSpec(
                "nothing_lost_in_typing",
                asset=key,
                partitions_def=days,
                description="Every value fits its declared type; those that don't are kept in `misfits`.",
            ),
            dg.AssetCheckSpec(
                "schema_declared",
                asset=key,
                partitions_def=days,
                description="No attribute is in the table that nobody has classified in estate.yaml.",
            ),
        ],
        freshness_policy=dg.FreshnessPolicy.cron(deadline_cron=cron, lower_bound_delta=earlier),
        metadata={"dagster/table_name": table.name},
    )
    def typed(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        glue: GlueResource,
        athena: AthenaResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        day = snapshot_date(context)
        source = glue.partition(names.lines_table(table.name), [day.isoformat()])
        if source is None:
            asset = "/".join(names.raw_key(table.name))
            raise dg.Failure(
                description=f"{day}: no export in the catalog; materialize {asset}", allow_retries=False
            )
        items = int(source.parameters["item_count"])
        folder = names.snapshot_folder(table.name, day, source.parameters["export_id"])
        attempt = f"{folder}{context.run.run_id}-{context.retry_number}/"
        statement = typing_sql.unload(
            table, glue.database, names.lines_table(table.name), day, lake.uri(attempt)
        )
        query = _query(athena, statement)
        objects = list(lake.list(attempt))
        rows = lake.parquet_rows(objects)
        counted = dg.AssetCheckResult(
            check_name="item_count", passed=rows == items, metadata={"rows": rows, "items": items}
        )
        if rows != items:
            yield counted
            raise dg.Failure(
                description=f"{day}: {rows} rows typed, expected the export's {items} items; the catalog "
                "still points at what it pointed at before"
            )
        columns = typing_sql.snapshot_columns(table)
        _point_typed(glue, lake, table, day.isoformat(), attempt, source.parameters)
        found, survey_query = _survey(athena, table, day)
        # Audits believe no snapshot without it, so a run killed before this leaves none that looks sound.
        surveyed = {**source.parameters, **parameters(found, table.column_name)}
        _point_typed(glue, lake, table, day.isoformat(), attempt, surveyed)
        removed = _remove_orphans(lake, table, day, attempt)
        done = event(
            context,
            estate,
            "snapshot.typed",
            counts={"items": items, "rows": rows, "misfits": found.misfit_values, "files": len(objects)},
            artefacts={"sql": hashlib.sha256(statement.encode()).hexdigest()},
            **_told(table, day, source.parameters["export_id"]),
        )
        record(ledger, done, once=name(context, f"snapshot/{table.name}"))
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "dagster/uri": lake.uri(attempt),
                "dagster/column_schema": _table_schema(columns, table),
                "dagster/column_lineage": _lineage(table),
                "s3": dg.MetadataValue.url(lake.console_url(attempt)),
                "export_id": source.parameters["export_id"],
                "export_time": source.parameters["export_time"],
                "bytes": dg.MetadataValue.int(sum(item.size for item in objects)),
                "files": len(objects),
                **_query_metadata(statement, query, survey_query),
                "misfits": shown_counts(found.misfits),
                "undeclared": shown_counts(found.undeclared),
                "orphans_removed": removed,
            },
            check_results=[counted, *_verdicts(table, found)],
        )

    return typed


def _point_typed(
    glue: GlueResource, lake: LakeResource, table: Table, day: str, attempt: str, said: Mapping[str, str]
) -> None:
    columns = typing_sql.snapshot_columns(table)
    location = lake.uri(f"snapshots/{table.name}/")
    glue.ensure_table(table.name, columns, typing_sql.PARTITION_KEYS, location, "parquet", table.description)
    glue.point(table.name, [day], lake.uri(attempt), columns, "parquet", said)


def _query(athena: AthenaResource, statement: str, *parameters: str) -> QueryResult:
    """Run a statement.  Raises dagster.Failure, without what Athena quotes of the data."""
    try:
        return athena.execute(statement, parameters)
    except AthenaQueryFailed as failed:
        told = failed.reason if _OF_THE_STATEMENT.search(failed.reason) else failed.name
        raise dg.Failure(description=f"Athena query {failed.query_id}: {told}") from None


def _survey(athena: AthenaResource, table: Table, day: exports.SnapshotDate) -> tuple[Survey, QueryResult]:
    statement = typing_sql.survey(table, athena.database, table.name)
    query = _query(athena, statement, f"DATE {typing_sql.quote_literal(day.isoformat())}")
    return read_survey(athena.fetch(query).to_pylist()), query


def _verdicts(table: Table, found: Survey) -> list[dg.AssetCheckResult]:
    """The checks of a snapshot's survey."""
    misfits = found.misfit_values
    over = misfits > table.misfit_threshold
    return [
        dg.AssetCheckResult(
            check_name="keys_unique",
            passed=not found.missing_keys and not found.repeated_keys,
            metadata={"rows_without_key": found.missing_keys, "keys_more_than_once": found.repeated_keys},
        ),
        dg.AssetCheckResult(
            check_name="nothing_lost_in_typing",
            passed=not misfits,
            severity=dg.AssetCheckSeverity.ERROR if over else dg.AssetCheckSeverity.WARN,
            metadata={
                "misfits": misfits,
                "threshold": table.misfit_threshold,
                "by_attribute": shown_counts(found.misfits),
            },
        ),
        dg.AssetCheckResult(
            check_name="schema_declared",
            passed=not found.undeclared,
            description=_undeclared(found),
            metadata={"by_attribute": shown_counts(found.undeclared)},
        ),
    ]


def _undeclared(found: Survey) -> str | None:
    if not found.undeclared:
        return None
    listed = ", ".join(f"{name} ({number} rows)" for name, number in shown_counts(found.undeclared).items())
    return f"not in estate.yaml: {listed}"


def _remove_orphans(lake: LakeResource, table: Table, day: exports.SnapshotDate, attempt: str) -> int:
    """Delete what earlier attempts of the day left, once no reader can be in the middle of it."""
    before = datetime.now(UTC) - _ORPHANS_REST
    orphans = [
        item.key
        for item in lake.list(names.day_folder(table.name, day))
        if not item.key.startswith(attempt) and item.modified < before
    ]
    return lake.delete(orphans)


def _told(table: Table, day: exports.SnapshotDate, export_id: str) -> dict[str, Any]:
    """What events of a table's night have in common."""
    details = {"table": table.name, "snapshot_date": day.isoformat(), "export_id": export_id}
    return {"stream": f"snapshot-{day.isoformat()}", "details": details}


def _export_metadata(export: Export, lake: LakeResource) -> dict[str, Any]:
    return {
        "export_arn": export.arn,
        "export_id": export.id,
        "export_status": export.status,
        "export_time": export.export_time.isoformat(),
        "s3_uri": lake.uri(export.folder),
        "s3": dg.MetadataValue.url(lake.console_url(export.folder)),
    }


def _query_metadata(statement: str, query: QueryResult, survey: QueryResult) -> dict[str, Any]:
    return {
        "sql": dg.MetadataValue.md(f"```sql\n{statement}\n```"),
        "athena_query_id": query.query_id,
        "athena_milliseconds": query.milliseconds + survey.milliseconds,
        "bytes_scanned": dg.MetadataValue.int(query.bytes_scanned + survey.bytes_scanned),
        "estimated_cost_usd": round(query.dollars + survey.dollars, 6),
    }


def _schema(table: Table, kind: Any) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                kind(column),
                description=column.description or None,
                tags={f"personal_data/{category}": "" for category in column.categories},
            )
            for name, column in table.columns.items()
        ]
    )


def _table_schema(columns: list[tuple[str, str]], table: Table | None = None) -> dg.TableSchema:
    declared: dict[str, Column] = {}
    if table is not None:
        declared = {table.column_name(name): column for name, column in table.columns.items()}
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                kind,
                description=(declared[name].description or None) if name in declared else None,
                tags={f"personal_data/{c}": "" for c in declared[name].categories}
                if name in declared
                else None,
            )
            for name, kind in columns
        ]
    )


def _lineage(table: Table) -> dg.TableColumnLineage:
    source = names.source_key(table.name)
    return dg.TableColumnLineage(
        {table.column_name(name): [dg.TableColumnDep(source, name)] for name in table.columns}
    )
