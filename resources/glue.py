"""The Glue catalog: tables, the partition that a day's data is at, and crawlers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg

from resources import clients

Columns = Sequence[tuple[str, str]]
"""Names and Hive types, such as ``("log_id", "string")``."""

_FORMATS: dict[str, dict[str, Any]] = {
    "parquet": {
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
    },
    # One column holds a line whole: JSON never contains the delimiter, a raw control character.
    "lines": {
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "Parameters": {"field.delim": "\u0001", "serialization.format": "\u0001"},
        },
    },
}


class CrawlFailed(Exception):  # noqa: N818  # it is the crawl that failed
    """The crawler ended without success; the message is what Glue said."""


@dataclass(frozen=True)
class Partition:
    """One partition: its values, the S3 URI it points at, and what was written beside it."""

    values: tuple[str, ...]
    location: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class GlueResource(dg.ConfigurableResource[Any]):
    """One Glue database."""

    database: str

    @property
    def _client(self) -> Any:
        return clients.client("glue")

    def ensure_table(
        self,
        name: str,
        columns: Columns,
        partition_keys: Columns,
        location: str,
        kind: Literal["parquet", "lines"],
        description: str = "",
    ) -> None:
        """Create the table, or bring its columns up to date when they changed.  Its partitions stay."""
        wanted: dict[str, Any] = {
            "Name": name,
            "Description": description,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet" if kind == "parquet" else "json"},
            "PartitionKeys": _columns(partition_keys),
            "StorageDescriptor": _storage(kind, columns, location),
        }
        try:
            found = self._client.get_table(DatabaseName=self.database, Name=name)["Table"]
        except self._client.exceptions.EntityNotFoundException:
            try:
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            except self._client.exceptions.AlreadyExistsException:
                self._client.update_table(DatabaseName=self.database, TableInput=wanted)
            return
        if _pairs(found["StorageDescriptor"]["Columns"]) != list(columns) or found["StorageDescriptor"].get(
            "Location", ""
        ).rstrip("/") != location.rstrip("/"):
            self._client.update_table(DatabaseName=self.database, TableInput=wanted)

    def columns(self, table: str) -> list[tuple[str, str]]:
        """The columns of ``table`` and then its partition keys; none when there is no such table."""
        try:
            found = self._client.get_table(DatabaseName=self.database, Name=table)["Table"]
        except self._client.exceptions.EntityNotFoundException:
            return []
        return _pairs(found["StorageDescriptor"]["Columns"]) + _pairs(found.get("PartitionKeys", ()))

    def partition(self, table: str, values: Sequence[str]) -> Partition | None:
        """The partition of ``table`` with exactly these values, if it is there."""
        try:
            found = self._client.get_partition(
                DatabaseName=self.database, TableName=table, PartitionValues=list(values)
            )["Partition"]
        except self._client.exceptions.EntityNotFoundException:
            return None
        return _partition(found)

    def partitions(self, table: str, expression: str) -> list[Partition]:
        """The partitions of ``table`` that meet Glue's filter ``expression``; none when there is no table."""
        pages = self._client.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=table, Expression=expression, ExcludeColumnSchema=True
        )
        try:
            return [_partition(found) for page in pages for found in page["Partitions"]]
        except self._client.exceptions.EntityNotFoundException:
            return []

    def point(
        self,
        table: str,
        values: Sequence[str],
        location: str,
        columns: Columns,
        kind: Literal["parquet", "lines"],
        parameters: Mapping[str, str],
    ) -> None:
        """Point a partition at ``location`` in one call: a reader sees the old place or the new one."""
        wanted = {
            "Values": list(values),
            "StorageDescriptor": _storage(kind, columns, location),
            "Parameters": dict(parameters),
        }
        try:
            self._update(table, values, wanted)
        except self._client.exceptions.EntityNotFoundException:
            try:
                self._client.create_partition(
                    DatabaseName=self.database, TableName=table, PartitionInput=wanted
                )
            except self._client.exceptions.AlreadyExistsException:  # another run was faster
                self._update(table, values, wanted)

    def _update(self, table: str, values: Sequence[str], wanted: dict[str, Any]) -> None:
        self._client.update_partition(
            DatabaseName=self.database,
            TableName=table,
            PartitionValueList=list(values),
            PartitionInput=wanted,
        )

    def start_crawler(self, name: str) -> bool:
        """Start a crawl; False when one is running already.  Raises CrawlFailed when there is no crawler."""
        try:
            self._client.start_crawler(Name=name)
        except self._client.exceptions.CrawlerRunningException:
            return False
        except self._client.exceptions.EntityNotFoundException:
            raise CrawlFailed(f"crawler {name}: missing, expected it as it is provisioned") from None
        return True

    def crawl_ended(self, name: str) -> bool:
        """Whether the crawler is at rest.  Raises CrawlFailed when its last crawl did not succeed."""
        crawler = self._client.get_crawler(Name=name)["Crawler"]
        if crawler["State"] != "READY":
            return False
        last = crawler.get("LastCrawl", {})
        if last and last.get("Status") != "SUCCEEDED":
            raise CrawlFailed(
                f"crawler {name}: {last.get('Status')}: {last.get('ErrorMessage', 'no reason told')}"
            )
        return True


def _columns(pairs: Columns) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in pairs]


def _pairs(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    return [(column["Name"], column.get("Type", "")) for column in columns]


def _storage(kind: str, columns: Columns, location: str) -> dict[str, Any]:
    return {**_FORMATS[kind], "Columns": _columns(columns), "Location": location}


def _partition(found: Mapping[str, Any]) -> Partition:
    return Partition(
        tuple(found["Values"]), found["StorageDescriptor"]["Location"], dict(found.get("Parameters", {}))
    )
