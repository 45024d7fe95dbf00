"""The Glue catalog as queries see it: names without case, tables, partitions and where they are."""

from dataclasses import dataclass, field
from typing import Any

from moto.glue.models import glue_backends

from local_aws.athena import types
from local_aws.athena.errors import QueryError
from local_aws.athena.types import Type
from local_aws.athena.views import original_sql
from local_aws.objects import ACCOUNT

CATALOG = "awsdatacatalog"


@dataclass(frozen=True)
class Storage:
    """Where and in what form data lies: a table's, or one of its partitions'."""

    location: str
    serde: str
    serde_parameters: dict[str, str]
    input_format: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    values: tuple[str, ...]
    storage: Storage


@dataclass
class Table:
    """A table or, when ``view`` is its SQL, a view."""

    schema: str
    name: str
    columns: list[tuple[str, Type]]
    partition_keys: list[tuple[str, Type]]
    parameters: dict[str, str]
    storage: Storage
    view: str | None = None
    comments: dict[str, str] = field(default_factory=dict)
    raw: Any = None

    @property
    def is_iceberg(self) -> bool:
        return self.parameters.get("table_type", "").upper() == "ICEBERG"

    def partitions(self) -> list[Partition]:
        """All partitions of a partitioned table, as they are in the catalog now."""
        return [_partition(self, p.partition_input) for p in list(self.raw.partitions.values())]


@dataclass
class Catalog:
    """The catalog of a region, seen from a database."""

    region: str
    database: str = "default"

    @property
    def backend(self) -> Any:
        return glue_backends[ACCOUNT][self.region]

    def seen_from(self, database: str) -> "Catalog":
        return Catalog(self.region, database)

    def databases(self) -> list[str]:
        return sorted({"default", *(name.lower() for name in self.backend.databases)})

    def database_of(self, name: str) -> Any:
        """Glue's database, or None."""
        wanted = name.lower()
        for key, found in self.backend.databases.items():
            if key.lower() == wanted:
                return found
        return None

    def table_names(self, schema: str) -> list[str]:
        database = self.database_of(schema)
        return sorted(name.lower() for name in database.tables) if database is not None else []

    def find(self, schema: str | None, name: str, catalog: str | None = None) -> Table | None:
        """The table; None when there is none. Raises QueryError for a missing schema or catalog."""
        if catalog not in (None, CATALOG):
            raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' does not exist")
        database = self.database_of(schema or self.database)
        if database is None:
            if (schema or self.database).lower() == "default":
                return None
            raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{schema or self.database}' does not exist")
        for key, raw in database.tables.items():
            if key.lower() == name.lower():
                return _table(database.name, raw)
        return None


def _table(schema: str, raw: Any) -> Table:
    """A table of Glue. Raises QueryError for a column type that is none of Hive's."""
    data = raw.as_dict()
    descriptor = data.get("StorageDescriptor") or {}
    storage = _storage(descriptor)
    listed = descriptor.get("Columns") or []
    keys = data.get("PartitionKeys") or []
    name = data["Name"].lower()
    view = None
    if data.get("TableType") == "VIRTUAL_VIEW":
        view = original_sql(data.get("ViewOriginalText") or "")
    parameters = data.get("Parameters") or {}
    if parameters.get("table_type", "").upper() == "ICEBERG":
        # imported here: pyiceberg takes long to load, and few queries need it
        from local_aws.athena.scan.iceberg import columns_of

        return Table(schema.lower(), name, columns_of(parameters, name), [], parameters, storage, raw=raw)
    return Table(
        schema.lower(), name,
        [(c["Name"].lower(), _type(name, c)) for c in listed],
        [(c["Name"].lower(), _type(name, c)) for c in keys],
        parameters, storage, view,
        {c["Name"].lower(): c["Comment"] for c in [*listed, *keys] if c.get("Comment")}, raw,
    )  # fmt: skip


def _type(table: str, column: dict[str, str]) -> Type:
    try:
        return types.parse(column.get("Type") or "string")
    except ValueError as error:
        raise QueryError(
            "HIVE_INVALID_METADATA",
            f"Glue table '{table}' column '{column['Name']}' has invalid data type: "
            f"{column.get('Type')} ({error})",
        ) from None


def _storage(descriptor: dict[str, Any]) -> Storage:
    serde = descriptor.get("SerdeInfo") or {}
    return Storage(
        descriptor.get("Location") or "",
        serde.get("SerializationLibrary") or "",
        serde.get("Parameters") or {},
        descriptor.get("InputFormat") or "",
        tuple(c["Name"].lower() for c in descriptor.get("Columns") or []),
    )


def _partition(table: Table, data: dict[str, Any]) -> Partition:
    """A partition; what its descriptor does not say is the table's."""
    own = _storage(data.get("StorageDescriptor") or {})
    return Partition(
        tuple(data["Values"]),
        Storage(
            own.location or table.storage.location,
            own.serde or table.storage.serde,
            own.serde_parameters or table.storage.serde_parameters,
            own.input_format or table.storage.input_format,
            own.columns or table.storage.columns,
        ),
    )
