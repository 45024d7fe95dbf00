"""The asset of ingestion: events, from the queue into the table."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from privacy_assets.estate import Estate
from privacy_assets.ingest import schema
from privacy_assets.ingest.draining import Drained, Drainer, keep_house
from privacy_assets.ingest.names import EVENTS, EVENTS_KEY
from privacy_assets.ledger import Event, record
from privacy_assets.recording import event, name
from resources.busy_queue import BusyQueueResource
from resources.iceberg import IcebergResource
from resources.ledger import LedgerResource
from resources.settings import EVENT_LAG_SECONDS

GROUP = "ingest"
_OWNER = "team:privacy"
_RUN_SECONDS = 1800.0
_STALE = timedelta(hours=2)
"""The schedule runs hourly whether events come or not: nothing for two hours is a pipeline that stands."""
_HOURS_SHOWN = 24


def ingest_assets(estate: Estate) -> list[dg.AssetsDefinition]:
    """All assets of the domain."""
    return [_events(estate)]


def _events(estate: Estate) -> dg.AssetsDefinition:
    @dg.asset(
        key=EVENTS_KEY,
        group_name=GROUP,
        owners=[_OWNER],
        kinds={"sqs", "iceberg"},
        description=(
            "Every privacy event that was accepted, as a row of the Iceberg table `events`: once by its "
            "`event_id`, in the day and hour of its time. A run takes all that waits in the queue and puts "
            "small files together, for a minute; what is left then is for the next one."
        ),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=_STALE),
        metadata={"dagster/column_schema": _columns(), "schema_version": schema.VERSION},
        check_specs=[
            dg.AssetCheckSpec(
                "lag",
                asset=EVENTS_KEY,
                description="Every event was queryable soon enough after it was accepted.",
            ),
            dg.AssetCheckSpec(
                "no_dead_letters",
                asset=EVENTS_KEY,
                description="Nothing waits among the dead letters: each was sent and is in no table.",
            ),
        ],
    )
    def events(
        context: dg.AssetExecutionContext,
        event_queue: BusyQueueResource,
        iceberg: IcebergResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.MaterializeResult[Any]]:
        def progress(done: Drained) -> None:
            context.log.info(f"{done.total.events:,} events written, {done.already:,} were there already")

        done = Drainer(queue=event_queue, store=iceberg).drain(seconds=_RUN_SECONDS, progress=progress)
        if done.messages:
            record(ledger, _ingested(context, estate, done), once=name(context, "events"))
        kept = keep_house(iceberg, datetime.now(UTC))
        depths = event_queue.depths()
        yield dg.MaterializeResult(
            metadata={
                **_metadata(done, iceberg),
                "files_put_together": kept.replaced,
                "hours_left_to_put_together": kept.left,
                "waiting": depths[event_queue.queue],
            },
            check_results=list(_checks(done, event_queue, depths)),
        )

    return events


def _ingested(context: dg.AssetExecutionContext, estate: Estate, done: Drained) -> Event:
    total = done.total
    return event(
        context,
        estate,
        "events.ingested",
        stream=f"ingest-{context.run.run_id}",
        counts={
            "messages": done.messages,
            "events": total.events,
            "bytes": total.bytes,
            "were_there_already": done.already,
            "dead_letters": sum(done.dead.values()),
        },
    )


def _metadata(done: Drained, iceberg: IcebergResource) -> dict[str, Any]:
    total = done.total
    rows = sum(iceberg.count(EVENTS, [schema.PARTITION_BY[0]]).values())
    return {
        "dagster/row_count": rows,
        "events": total.events,
        "bytes": total.bytes,
        "lag_p50_seconds": total.lag(0.5),
        "lag_max_seconds": total.lag(1.0),
        "were_there_already": done.already,
        "dead_letters": sum(done.dead.values()),
        "messages": done.messages,
        "by_type": dg.MetadataValue.md(_by_type(done)),
        "by_hour": dg.MetadataValue.md(_by_hour(done)),
        "ask": dg.MetadataValue.md(
            "```sql\nSELECT event_hour, event_type, count(*) AS events FROM events\n"
            "WHERE event_date = current_date GROUP BY 1, 2 ORDER BY 1, 3 DESC\n```"
        ),
    }


def _by_type(done: Drained) -> str:
    if not done.by_type:
        return "No events were new."
    lines = [
        f"| {kind} | {tally.events:,} | {tally.bytes:,} | {tally.lag(0.5):.1f} | {tally.lag(1.0):.1f} |"
        for kind, tally in sorted(done.by_type.items(), key=lambda each: -each[1].events)
    ]
    head = "| type | events | bytes | lag p50, s | lag max, s |\n|---|--:|--:|--:|--:|"
    return "\n".join([head, *lines])


def _by_hour(done: Drained) -> str:
    if not done.by_hour:
        return "No events were new."
    hours = sorted(done.by_hour.items(), reverse=True)
    lines = [f"| {day} {hour:02}:00 | {count:,} |" for (day, hour), count in hours[:_HOURS_SHOWN]]
    more = len(hours) - _HOURS_SHOWN
    rest = [f"\nand {more:,} hours before"] if more > 0 else []
    return "\n".join(["| hour of the event, UTC | events |\n|---|--:|", *lines, *rest])


def _checks(
    done: Drained, queue: BusyQueueResource, depths: Mapping[str, int]
) -> Iterator[dg.AssetCheckResult]:
    total, limit = done.total, EVENT_LAG_SECONDS.number()
    yield dg.AssetCheckResult(
        check_name="lag",
        passed=total.lag(1.0) <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "events": total.events,
            "p50_seconds": total.lag(0.5),
            "max_seconds": total.lag(1.0),
            "limit_seconds": limit,
        },
    )
    letters = depths[queue.dead_letters]
    yield dg.AssetCheckResult(
        check_name="no_dead_letters",
        passed=letters == 0,
        metadata={
            "dead_letters": letters,
            "reasons": queue.reasons() if letters else [],
            "what_to_do": "`privacy-assets events redrive` sends them again",
        },
    )


def _columns() -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name, schema.athena_type(column.type), (column.metadata or {})[b"doc"].decode()
            )
            for column in schema.COLUMNS
        ]
    )
