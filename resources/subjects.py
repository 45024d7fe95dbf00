"""What requests of data subjects need of AWS and of databases, in one resource.

It fits ``privacy_assets.dsar.stores.tools.Tools`` by shape.
"""

from typing import Any

import dagster as dg

from resources.archive import ArchiveResource
from resources.catalog import Catalog
from resources.erasures import ErasuresResource
from resources.files import Files
from resources.iceberg import IcebergResource
from resources.sql import Databases
from resources.subject_items import ItemTables


class SubjectsResource(dg.ConfigurableResource[Any]):
    """Where subjects' data is; ``database`` and ``lake_bucket`` are the product's own, ``archive_bucket`` the
    archive's, ``erasure_table`` and ``key_id`` the registry of erasures and the key of its HMACs.
    """

    database: str
    lake_bucket: str
    archive_bucket: str
    erasure_table: str
    key_id: str

    @property
    def files(self) -> Files:
        """Any bucket's objects."""
        return Files()

    @property
    def catalog(self) -> Catalog:
        """The Glue catalog."""
        return Catalog(self.database)

    @property
    def items(self) -> ItemTables:
        """DynamoDB."""
        return ItemTables()

    @property
    def databases(self) -> Databases:
        """Databases by the environment variable that holds their URL."""
        return Databases()

    @property
    def archive(self) -> ArchiveResource:
        """The archive bucket."""
        return ArchiveResource(bucket=self.archive_bucket)

    @property
    def erasures(self) -> ErasuresResource:
        """The registry of erased subjects."""
        return ErasuresResource(table=self.erasure_table, key_id=self.key_id)

    def iceberg(self, database: str | None = None) -> IcebergResource:
        """The Iceberg tables of a database, of the product's own if none is named."""
        return IcebergResource(database=database or self.database, bucket=self.lake_bucket)
