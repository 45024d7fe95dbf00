"""The stores of an estate."""

from collections.abc import Sequence
from pathlib import Path

from privacy_assets.dsar.stores import models, own
from privacy_assets.dsar.stores.archive import Archive
from privacy_assets.dsar.stores.dynamodb import DynamoDb
from privacy_assets.dsar.stores.events import Events
from privacy_assets.dsar.stores.lake import Lake
from privacy_assets.dsar.stores.protocol import Store
from privacy_assets.dsar.stores.s3_prefix import S3Prefix
from privacy_assets.dsar.stores.snapshots import Snapshots
from privacy_assets.dsar.stores.sql import Sql
from privacy_assets.dsar.stores.tools import Tools
from privacy_assets.estate import Estate, Table


def check(estate: Estate, folder: Path) -> None:
    """Load people's own stores, as definitions do. Raises UserError with file and line."""
    for spec in estate.stores:
        if isinstance(spec, models.PythonStore):
            own.load(spec, folder)


def stores(estate: Estate, tools: Tools, folder: Path) -> tuple[Store, ...]:
    """The estate's stores in its order; ``folder`` is where ``estate.yaml`` is. Nothing is called yet.

    Raises UserError for a store of one's own that can't be loaded.
    """
    return tuple(_store(spec, estate, tools, folder) for spec in estate.stores)


def _store(spec: models.StoreSpec, estate: Estate, tools: Tools, folder: Path) -> Store:
    match spec:
        case models.DynamoDbStore():
            return DynamoDb(spec, tools)
        case models.SqlStore():
            return Sql(spec, tools)
        case models.LakeStore():
            return Lake(spec, tools)
        case models.EventsStore():
            return Events(spec, tools)
        case models.S3PrefixStore():
            return S3Prefix(spec, tools)
        case models.ArchiveStore():
            return Archive(spec, tools, _governed(estate, spec.tables))
        case models.SnapshotsStore():
            return Snapshots(spec, tools, _governed(estate, spec.tables))
        case models.PythonStore():
            return own.build(spec, folder)


def _governed(estate: Estate, nouns: Sequence[str]) -> list[Table]:
    """The tables of these nouns; all that have a subject if none is named."""
    return [
        table
        for table in estate.tables
        if table.subject_key is not None and (not nouns or table.name in nouns)
    ]
