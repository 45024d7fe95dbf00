"""The partitions of the asset graph: days in UTC, buckets, and requests of data subjects."""

from datetime import date

import dagster as dg

from privacy_assets.dsar.names import PARTITIONS
from privacy_assets.estate import Estate
from privacy_assets.snapshot.exports import SnapshotDate

BUCKETS = dg.DynamicPartitionsDefinition(name="buckets")
"""Buckets that are scanned: those of the estate, and any that a scan was asked for."""

REQUESTS = dg.DynamicPartitionsDefinition(name=PARTITIONS)
"""Requests by their ids, which tell of nobody. One that has ended is retired once its answer is deleted."""


def daily(estate: Estate) -> dg.DailyPartitionsDefinition:
    """Days from the estate's start until yesterday: today has not ended, so it can't be exported."""
    return dg.DailyPartitionsDefinition(start_date=estate.start.isoformat(), timezone="UTC")


def snapshot_date(context: dg.AssetExecutionContext) -> SnapshotDate:
    """The day of a run's partition."""
    return SnapshotDate(date.fromisoformat(context.partition_key))


def deletion_days(estate: Estate) -> dg.DailyPartitionsDefinition:
    """Days of deletions, today too: a deletion is archived as it happens."""
    return dg.DailyPartitionsDefinition(start_date=estate.start.isoformat(), timezone="UTC", end_offset=1)
