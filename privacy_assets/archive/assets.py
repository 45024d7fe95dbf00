"""The archive's assets: deletions as they come, what two snapshots say of them, and records brought back."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from privacy_assets.archive import names, reconciliation, rows
from privacy_assets.archive.archiving import Archiver, Drained, NotArchived
from privacy_assets.archive.reconciliation import MISSED
from privacy_assets.archive.records import Cause
from privacy_assets.archive.removal import expire
from privacy_assets.estate import Estate, Table
from privacy_assets.markdown import escaped
from privacy_assets.masking import mask
from privacy_assets.partitions import daily, deletion_days, snapshot_date
from privacy_assets.snapshot import names as snapshot_names
from resources.archive import ArchiveResource, ObjectRefused
from resources.athena import AthenaResource
from resources.deletions import DeletionQueueResource
from resources.erasures import ErasuresResource
from resources.glue import GlueResource
from resources.iceberg import IcebergResource
from resources.streams import RecordsGone, StreamsResource

GROUP = "archive"
_OWNER = "team:privacy"
_SHOWN = 20
_LATEST = 10
_SNAPSHOTS_KEPT = timedelta(hours=1)  # no query of Athena's lasts longer than half of it
_RUN_SECONDS = 1800.0
_PIPE_LATENESS = timedelta(hours=1)  # how long a pipe tries a record


def archive_assets(estate: Estate) -> list[dg.AssetsDefinition]:
    """All assets of the domain but the restore's."""
    return [_deletions(estate), _reconciliation(estate)]


def _deletions(estate: Estate) -> dg.AssetsDefinition:
    days = deletion_days(estate)

    @dg.asset(
        key=names.DELETIONS_KEY,
        deps=[snapshot_names.source_key(noun) for noun in estate.nouns],
        partitions_def=days,
        group_name=GROUP,
        owners=[_OWNER],
        kinds={"sqs", "s3", "iceberg"},
        description=(
            "Every record deleted from a governed table, as the stream's record in S3 and as a row of "
            f"`{rows.DELETIONS}`. A run takes all that waits in the queue, whatever its day; its own day is "
            "told with all that the day has."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "no_dead_letters",
                asset=names.DELETIONS_KEY,
                partitions_def=days,
                description="Nothing waits among the dead letters: each is a deletion that is not archived.",
            ),
            dg.AssetCheckSpec(
                "pipes_pass_all",
                asset=names.DELETIONS_KEY,
                partitions_def=days,
                description="No pipe refused a record that had to be read from the stream again.",
            ),
        ],
    )
    def deletions(
        context: dg.AssetExecutionContext,
        deletion_queue: DeletionQueueResource,
        archive: ArchiveResource,
        iceberg: IcebergResource,
        streams: StreamsResource,
        erasures: ErasuresResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        day = date.fromisoformat(context.partition_key)
        archiver = Archiver(
            queue=deletion_queue,
            objects=archive,
            store=iceberg,
            streams=streams,
            erasures=erasures,
            tables=estate.by_name,
            refused=ObjectRefused,
            gone=RecordsGone,
        )

        def progress(done: Drained) -> None:
            context.log.info(f"{done.archived:,} archived, {done.already:,} were there already")

        try:
            done = archiver.drain(seconds=_RUN_SECONDS, progress=progress)
        except NotArchived as failed:
            raise dg.Failure(description=str(failed), allow_retries=False) from None
        expired = _keep_house(estate, iceberg, archive, done, day)
        for other in sorted({each for each, _ in done.by_day} - {day}):
            context.log_event(
                dg.AssetMaterialization(
                    names.DELETIONS_KEY,
                    partition=other.isoformat(),
                    metadata=_day_metadata(iceberg, archive, other),
                )
            )
        depths, reasons = deletion_queue.depths(), deletion_queue.reasons()
        letters = depths[deletion_queue.dead_letters]
        yield dg.MaterializeResult(
            metadata={
                **_day_metadata(iceberg, archive, day),
                "archived_by_this_run": done.archived,
                "bytes_by_this_run": dg.MetadataValue.int(done.bytes),
                "dead_letters": sum(done.dead.values()),
                **{
                    name: count
                    for name, count in {
                        "were_there_already": done.already,
                        "of_erased_subjects": done.erased,
                        "read_from_streams": done.reread,
                        "expired": expired,
                    }.items()
                    if count
                },
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="no_dead_letters",
                    passed=letters == 0,
                    metadata={
                        "dead_letters": letters,
                        "reasons": reasons,
                        "what_to_do": "`privacy-assets archive redrive` sends them again",
                    },
                ),
                dg.AssetCheckResult(
                    check_name="pipes_pass_all",
                    passed=done.reread == 0 and not depths[deletion_queue.pipe_dead_letters],
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={
                        "read_from_streams": done.reread,
                        "waiting": depths[deletion_queue.pipe_dead_letters],
                    },
                ),
            ],
        )

    return deletions


def _keep_house(
    estate: Estate, iceberg: IcebergResource, archive: ArchiveResource, done: Drained, day: date
) -> int:
    """Put small files together, forget old snapshots, remove what is beyond its retention."""
    for each, noun in sorted({*done.by_day, *((day, noun) for noun in estate.nouns)}):
        iceberg.compact(rows.DELETIONS, {"deleted_on": [each], "table_name": [noun]})
    iceberg.vacuum(rows.DELETIONS, _SNAPSHOTS_KEPT)
    expired = 0
    held = iceberg.count(rows.DELETIONS, rows.PARTITION_BY)
    for table in estate.tables:
        if table.retention_days is None:
            continue
        before = datetime.now(UTC).date() - timedelta(days=table.retention_days)
        if any(noun == table.name and each < before for each, noun in held):
            expired += expire(iceberg, archive, table.name, before).rows
    return expired


def _day_metadata(iceberg: IcebergResource, archive: ArchiveResource, day: date) -> dict[str, Any]:
    held = rows.of_day(iceberg, day, _LATEST)
    return {
        "dagster/row_count": sum(held.counts.values()),
        "deleted_by": dg.MetadataValue.md(_by_cause(held.counts)),
        "latest": dg.MetadataValue.md(_latest(held)),
        "dagster/uri": archive.uri(""),
        "s3": dg.MetadataValue.url(archive.console_url("")),
        "ask": dg.MetadataValue.md(
            "```sql\nSELECT deleted_at, table_name, keys, cause\nFROM archived_deletions\n"
            f"WHERE deleted_on = DATE '{day.isoformat()}'\n```"
        ),
    }


def _by_cause(counts: Mapping[tuple[str, str], int]) -> str:
    """A line a table, a column a cause."""
    if not counts:
        return "No deletions."
    causes = [cause.value for cause in Cause if any(each == cause for _, each in counts)]
    lines = [f"| table | {' | '.join(causes)} | all |", "|---|" + "--:|" * (len(causes) + 1)]
    for noun in sorted({noun for noun, _ in counts}):
        numbers = [counts.get((noun, cause), 0) for cause in causes]
        lines.append(f"| {noun} | {' | '.join(f'{n:,}' for n in [*numbers, sum(numbers)])} |")
    return "\n".join(lines)


def _latest(held: rows.Day) -> str:
    """The latest deletions, their keys masked."""
    if not held.latest:
        return "None."
    lines = ["| at (UTC) | table | key | by | bytes |", "|---|---|---|---|--:|"]
    for moment, noun, *key, cause, size in held.latest:
        shown = ", ".join(escaped(mask(part)) for part in key if part is not None)
        lines.append(f"| {moment:%H:%M:%S} | {noun} | {shown} | {cause} | {size:,} |")
    return "\n".join(lines)


def _reconciliation(estate: Estate) -> dg.AssetsDefinition:
    days = daily(estate)

    @dg.asset(
        key=names.RECONCILIATION_KEY,
        deps=[
            *(
                dg.AssetDep(
                    snapshot_names.typed_key(noun),
                    partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=0),
                )
                for noun in estate.nouns
            ),
            dg.AssetDep(names.DELETIONS_KEY, partition_mapping=dg.TimeWindowPartitionMapping()),
        ],
        partitions_def=days,
        group_name=GROUP,
        owners=[_OWNER],
        kinds={"athena", "iceberg"},
        description=(
            "The keys that the day before's snapshot of a table has and the day's has not, held against the "
            f"archive of the day between. A key without an archived deletion is a row of `{MISSED}`."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "every_deletion_archived",
                asset=names.RECONCILIATION_KEY,
                partitions_def=days,
                description="No key vanished without an archived deletion.",
            ),
            dg.AssetCheckSpec(
                "archived_once",
                asset=names.RECONCILIATION_KEY,
                partitions_def=days,
                description="No deletion of the day is in the archive twice.",
            ),
        ],
    )
    def reconciled(
        context: dg.AssetExecutionContext,
        glue: GlueResource,
        athena: AthenaResource,
        iceberg: IcebergResource,
        deletion_queue: DeletionQueueResource,
        erasures: ErasuresResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        day = snapshot_date(context)
        rows.ensure(iceberg)
        iceberg.ensure(MISSED, reconciliation.MISSED_SCHEMA, reconciliation.MISSED_PARTITION_BY)
        compared: list[str] = []
        left_out: list[str] = []
        samples: list[str] = []
        missed: dict[str, int] = {}
        erased = 0
        for table in estate.tables:
            if any(
                glue.partition(table.name, [each.isoformat()]) is None
                for each in (day - timedelta(days=1), day)
            ):
                left_out.append(table.name)
                continue
            compared.append(table.name)
            vanished = _Vanished(table, day, erasures, samples)
            result = athena.execute(reconciliation.missed_sql(table, day))
            only: dict[str, Collection[Any]] = {"snapshot_date": [day], "table_name": [table.name]}
            missed[table.name] = iceberg.replace(MISSED, only, partial(_rows, vanished, athena, result))
            erased += vanished.erased
        twice = _twice(athena, day)
        waiting = _of_the_day(deletion_queue, day)
        number = sum(missed.values())
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": number,
                "missed": dg.MetadataValue.json(missed),
                "of_erased_subjects": erased,
                "compared": compared,
                "not_compared": left_out,
                "preview": dg.MetadataValue.md(_preview(samples, number)),
            },
            check_results=[
                _archived_check(number, left_out, samples, waiting),
                dg.AssetCheckResult(
                    check_name="archived_once", passed=twice == 0, metadata={"more_than_once": twice}
                ),
            ],
        )

    return reconciled


@dataclass
class _Vanished:
    """The keys of a table that vanished during a day without an archived deletion: samples of them, and how
    many more an erasure explains.
    """

    table: Table
    day: date
    erasures: ErasuresResource
    samples: list[str]
    erased: int = 0

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows that no erasure explains, as the table has them; called again when others were faster."""
        self.erased = 0
        for whole in batches:
            batch = reconciliation.not_erased(whole, self.table, self.erasures)
            self.erased += whole.num_rows - batch.num_rows
            if len(self.samples) < _SHOWN:
                shown = batch.column("partition_key").to_pylist()[: _SHOWN - len(self.samples)]
                self.samples.extend(f"{self.table.name}: {mask(key)}" for key in shown)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.repeat(pa.scalar(self.day, pa.date32()), batch.num_rows),
                    pa.repeat(pa.scalar(self.table.name), batch.num_rows),
                    batch.column("partition_key").cast(pa.string()),
                    batch.column("sort_key").cast(pa.string()),
                ],
                schema=reconciliation.MISSED_SCHEMA,
            )


def _rows(vanished: _Vanished, athena: AthenaResource, result: Any) -> Iterator[pa.RecordBatch]:
    return vanished.rows(athena.batches(result))


def _twice(athena: AthenaResource, day: date) -> int:
    sql = "SELECT count(*) - count(DISTINCT record_id) AS twice FROM archived_deletions WHERE deleted_on = ?"
    counted = athena.fetch(athena.execute(sql, [f"DATE '{day.isoformat()}'"]))
    return int(counted.column("twice")[0].as_py())


def _of_the_day(queue: DeletionQueueResource, day: date) -> int:
    """How many messages wait in queues that may hold a deletion of ``day``: those whose oldest message was
    sent before soon after its end, or is of an unknown age.
    """
    depths, ages = queue.depths(), queue.oldest()
    soon_after = datetime.combine(day + timedelta(days=1), time(), UTC) + _PIPE_LATENESS
    return sum(
        depth
        for name, depth in depths.items()
        if name not in ages or datetime.now(UTC) - ages[name] <= soon_after
    )


def _archived_check(
    missed: int, left_out: list[str], samples: list[str], waiting: int
) -> dg.AssetCheckResult:
    """A deletion that still waits in a queue is late and not lost: then the check only warns."""
    passed = missed == 0 and not left_out
    certain = missed > 0 and waiting == 0
    return dg.AssetCheckResult(
        check_name="every_deletion_archived",
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if certain else dg.AssetCheckSeverity.WARN,
        description=(
            "not compared: a snapshot of the day or of the day before is missing" if left_out else None
        ),
        metadata={"missed": missed, "sample": samples, "waiting": waiting, "not_compared": left_out},
    )


def _preview(samples: list[str], number: int) -> str:
    if not number:
        return "No key vanished without an archived deletion."
    lines = [f"- {line}" for line in samples]
    return "\n".join([*lines, "", f"The first {len(samples)} of {number:,}; all are in `{MISSED}`."])
