"""Tables of the Glue catalog, of any database: where their files are and how they are read.

https://docs.aws.amazon.com/glue/latest/webapi/API_Table.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources import clients

_SERDES = (
    ("parquet", "parquet"),
    ("openx", "json"),
    ("hcatalog.data.jsonserde", "json"),
    ("jsonserde", "json"),
    ("opencsvserde", "csv"),
    ("lazysimpleserde", "csv"),
)


class NoSuchCatalogTable(LookupError):  # noqa: N818  # what is wrong
    """There is no such table, or none that can be read; one line that says what was expected."""


@dataclass(frozen=True)
class CatalogTable:
    """A table; ``format`` is one of *iceberg, parquet, json, csv*, ``places`` are folders, ``s3://bucket/prefix/``,
    with the values of the partition columns in each. The last four are CSV's.
    """

    database: str
    name: str
    format: str
    columns: tuple[tuple[str, str], ...]
    places: tuple[tuple[str, Mapping[str, str]], ...]
    partition_keys: tuple[str, ...] = ()
    delimiter: str = ","
    quote: str | None = None
    escape: str | None = None
    header_lines: int = 0


class Catalog:
    """The Glue catalog; ``database`` is the one of tables that name none."""

    def __init__(self, database: str) -> None:
        self.database = database

    def table(self, database: str | None, name: str) -> CatalogTable:
        """A table with all its places. Raises NoSuchCatalogTable."""
        glue, where = clients.client("glue"), database or self.database
        try:
            said = glue.get_table(DatabaseName=where, Name=name)["Table"]
        except glue.exceptions.EntityNotFoundException:
            raise NoSuchCatalogTable(f"{where}.{name}: no such table in the Glue catalog") from None
        storage = said.get("StorageDescriptor", {})
        serde = storage.get("SerdeInfo", {})
        parameters = {**said.get("Parameters", {}), **serde.get("Parameters", {})}
        form = _format(said, serde)
        if form is None:
            raise NoSuchCatalogTable(
                f"{where}.{name}: in an unknown form, expected Iceberg, Parquet, JSON lines or CSV"
            )
        is_open_csv = "opencsvserde" in serde.get("SerializationLibrary", "").lower()
        return CatalogTable(
            where,
            name,
            form,
            tuple((each["Name"], each.get("Type", "")) for each in storage.get("Columns", ())),
            tuple(_places(glue, said, where)) if form != "iceberg" else (),
            tuple(each["Name"] for each in said.get("PartitionKeys", ())),
            parameters.get("separatorChar")
            or parameters.get("field.delim")
            or ("," if is_open_csv else "\x01"),
            parameters.get("quoteChar", '"') if is_open_csv else None,
            parameters.get("escapeChar", "\\") if is_open_csv else parameters.get("escape.delim"),
            int(parameters.get("skip.header.line.count", 0)),
        )

    def count_items(self, table: str, export_id: str, items: int) -> None:
        """Have the partitions of ``table`` that were made of an export say how many items it has now."""
        glue = clients.client("glue")
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=self.database, TableName=table)
        try:
            found = [each for page in pages for each in page["Partitions"]]
        except glue.exceptions.EntityNotFoundException:
            return
        for each in found:
            said = each.get("Parameters", {})
            if said.get("export_id") != export_id or said.get("item_count") == str(items):
                continue
            glue.update_partition(
                DatabaseName=self.database,
                TableName=table,
                PartitionValueList=each["Values"],
                PartitionInput={
                    "Values": each["Values"],
                    "StorageDescriptor": each["StorageDescriptor"],
                    "Parameters": {**said, "item_count": str(items)},
                },
            )


def _format(said: Mapping[str, Any], serde: Mapping[str, Any]) -> str | None:
    if str(said.get("Parameters", {}).get("table_type", "")).upper() == "ICEBERG":
        return "iceberg"
    library = str(serde.get("SerializationLibrary", "")).lower()
    return next((form for part, form in _SERDES if part in library), None)


def _places(glue: Any, said: Mapping[str, Any], database: str) -> list[tuple[str, dict[str, str]]]:
    """The table's own folder and those of its partitions, which may lie elsewhere."""
    keys = [each["Name"] for each in said.get("PartitionKeys", ())]
    own = _folder(said["StorageDescriptor"]["Location"])
    if not keys:
        return [(own, {})]
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=said["Name"])
    found = [
        (_folder(each["StorageDescriptor"]["Location"]), dict(zip(keys, each["Values"], strict=True)))
        for page in pages
        for each in page["Partitions"]
    ]
    return [(own, {}), *found]


def _folder(location: str) -> str:
    """A location as ``s3://bucket/prefix/``: S3's other schemes mean the same."""
    rest = location.partition("://")[2]
    return f"s3://{rest.rstrip('/')}/"
