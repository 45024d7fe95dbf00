"""The Data Catalog on top of moto's: it refuses lost updates, folds names and keeps partitions whole.

What moto leaves out and clients rely on: ``UpdateTable`` with a ``VersionId`` that is no longer current is
refused (Apache Iceberg's optimistic locking stands on it), ``SkipArchive`` keeps no old version, database
and table names are folded to lower case (API reference, TableInput and DatabaseInput), a partition has as
many values as the table keys.
"""

from types import SimpleNamespace
from typing import Any, Final

from moto.glue import urls as moto_urls
from moto.glue.exceptions import (
    GlueClientError,
    PartitionAlreadyExistsException,
    PartitionNotFoundException,
    TableAlreadyExistsException,
)
from moto.glue.models import FakeDatabase, FakePartition, FakeTable, GlueBackend

from local_aws.glue.crawler import Crawler, Engine, not_found
from local_aws.process import environment

Entry = dict[str, Any]

REGION: Final = environment("")["AWS_REGION"]
"""Where the server's own client writes."""


class Table(FakeTable):
    """A table whose partitions are checked before they are touched."""

    @property
    def version(self) -> str:
        return str(self._current_version)

    def replace(self, table_input: Entry, expected: str | None, *, archive: bool) -> None:
        """UpdateTable. Raises ConcurrentModificationException when ``expected`` is no longer current."""
        if expected is not None and expected != self.version:
            raise GlueClientError(
                "ConcurrentModificationException", "Update table failed due to concurrent modifications."
            )
        before = self.version
        self.update(table_input)
        if not archive:
            self.versions.pop(before, None)

    def create_partition(self, partiton_input: Entry) -> None:
        self._check(partiton_input)
        super().create_partition(partiton_input)

    def update_partition(self, old_values: Any, partiton_input: Entry) -> None:
        """UpdatePartition, also to other values. Raises when the old are not there or the new are taken."""
        self._check(partiton_input)
        new = FakePartition(self.database_name, self.name, partiton_input)
        before, after = str(old_values), str(new.values)
        if before not in self.partitions:
            raise PartitionNotFoundException
        if before != after:
            if after in self.partitions:
                raise PartitionAlreadyExistsException
            del self.partitions[before]
        self.partitions[after] = new

    def _check(self, partition_input: Entry) -> None:
        keys = self.versions[self.version].get("PartitionKeys") or []
        if len(partition_input.get("Values") or []) != len(keys):
            raise GlueClientError(
                "InvalidInputException",
                "The number of partition keys do not match the number of partition values",
            )


class Backend(GlueBackend):
    """Glue of one region."""

    engine: Engine

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._incarnations: dict[str, int] = {}

    @property
    def _url_module(self) -> Any:
        from local_aws.glue.responses import Handler

        return SimpleNamespace(url_bases=moto_urls.url_bases, url_paths={"{0}/$": Handler.dispatch})

    # --- databases and tables -------------------------------------------------------------------------------

    def create_database(
        self, database_name: str, database_input: Entry, tags: dict[str, str] | None = None
    ) -> FakeDatabase:
        return super().create_database(database_name.lower(), _folded(database_input), tags)

    def get_database(self, database_name: str) -> FakeDatabase:
        return super().get_database(database_name.lower())

    def update_database(self, database_name: str, database_input: Entry) -> None:
        super().update_database(database_name.lower(), _folded(database_input))

    def delete_database(self, database_name: str) -> None:
        super().delete_database(database_name.lower())

    def create_table(
        self,
        database_name: str,
        table_name: str,
        table_input: Entry,
        open_table_format_input: Entry | None = None,
    ) -> FakeTable:
        database, name = self.get_database(database_name), table_name.lower()
        if name in database.tables:
            raise TableAlreadyExistsException
        table = Table(database.name, name, _folded(table_input), self.account_id, open_table_format_input)
        database.tables[name] = table
        return table

    def get_table(self, database_name: str, table_name: str) -> FakeTable:
        return super().get_table(database_name, table_name.lower())

    def delete_table(self, database_name: str, table_name: str) -> None:
        super().delete_table(database_name, table_name.lower())

    def replace_table(
        self, database_name: str, table_input: Entry, expected: str | None, *, archive: bool
    ) -> None:
        """UpdateTable with its optimistic lock."""
        table = self.get_table(database_name, table_input["Name"])
        assert isinstance(table, Table)
        table.replace(_folded(table_input), expected, archive=archive)

    def update_table(self, database_name: str, table_name: str, table_input: Entry) -> None:
        self.replace_table(database_name, {**table_input, "Name": table_name}, None, archive=True)

    def tables(self, database: str) -> list[Entry] | None:
        """All tables of a database as GetTable tells them; None without the database."""
        found = self.databases.get(database.lower())
        return None if found is None else [table.as_dict() for table in list(found.tables.values())]

    def partitions(self, database: str, table: str) -> dict[tuple[str, ...], Entry]:
        """All partitions of a table by their values."""
        found = self.get_table(database, table)
        return {tuple(entry.values): entry.partition_input for entry in list(found.partitions.values())}

    # --- crawlers -------------------------------------------------------------------------------------------

    def create_crawler(self, name: str, *arguments: Any, **definition: Any) -> None:
        """Takes moto's keyword arguments."""
        assert not arguments
        if self.region_name != REGION:
            raise GlueClientError("InvalidInputException", f"local AWS crawls in {REGION} alone")
        if name in self.crawlers:
            raise GlueClientError("AlreadyExistsException", f"Crawler with name {name} already exists")
        incarnation = self._incarnations[name] = self._incarnations.get(name, 0) + 1
        self.crawlers[name] = Crawler(self.engine, incarnation, name=name, backend=self, **definition)

    def crawler(self, name: str) -> Crawler:
        """Raises EntityNotFoundException."""
        found = self.crawlers.get(name)
        if not isinstance(found, Crawler):
            raise not_found(name)
        return found

    def get_crawler(self, name: str) -> Crawler:
        return self.crawler(name)

    def delete_crawler(self, name: str) -> None:
        self.crawler(name).refuse_when_running()
        del self.crawlers[name]


def _folded(named: Entry) -> Entry:
    return {**named, "Name": str(named["Name"]).lower()} if named.get("Name") else named
