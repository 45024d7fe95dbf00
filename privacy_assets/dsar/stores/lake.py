"""``lake``: tables of the Glue catalog, read as it says: Iceberg, Parquet, JSON lines or CSV."""

from collections.abc import Iterator, Mapping, Sequence

from privacy_assets.dsar.files.forms import Form, Lines, Parquet
from privacy_assets.dsar.files.lines import Csv, JsonLines
from privacy_assets.dsar.stores.file_table import FileTable, Place
from privacy_assets.dsar.stores.iceberg_table import IcebergTable
from privacy_assets.dsar.stores.models import LakeStore, LakeTable
from privacy_assets.dsar.stores.protocol import Erased, Found, Identifiers, Record, Remaining, RequestId
from privacy_assets.dsar.stores.rules import Rules
from privacy_assets.dsar.stores.tools import CatalogTable, Tools


class Lake:
    """A subject's records in tables of the catalog."""

    def __init__(self, spec: LakeStore, tools: Tools) -> None:
        self.name, self._specs, self._tools = spec.name, spec.tables, tools
        self.kinds = frozenset(kind for table in spec.tables for kind in table.match)

    def find(self, identifiers: Identifiers) -> Found:
        return sum((self._table(spec).find(identifiers) for spec in self._specs), Found(0))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        for spec in self._specs:
            for record in self._table(spec).export(identifiers):
                yield {"table": spec.table, **record}

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        return sum((self._table(spec).erase(identifiers) for spec in self._specs), Erased())

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:
        return sum((self._table(spec).verify(identifiers, touched) for spec in self._specs), Remaining())

    def _table(self, spec: LakeTable) -> FileTable | IcebergTable:
        """The table as the catalog has it now: places come and go."""
        rules = Rules(spec, f"{self.name}.{spec.table}", self._tools.erasures.pseudonym)
        said: CatalogTable = self._tools.catalog.table(spec.database, spec.table)
        if said.format == "iceberg":
            return IcebergTable(self._tools.iceberg(said.database), self._tools.files, spec.table, rules)
        places = [place_of(uri, constants) for uri, constants in said.places]
        return FileTable(self._tools.files, rules, _form(said), places, said.partition_keys)


def place_of(uri: str, constants: Mapping[str, str] | None = None) -> Place:
    """``s3://bucket/prefix/`` as a place."""
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    return Place(bucket, prefix, constants or {})


def _form(said: CatalogTable) -> Form:
    if said.format == "parquet":
        return Parquet()
    if said.format == "json":
        return Lines(JsonLines())
    columns = [name for name, _ in said.columns]
    return Lines(Csv(columns, said.delimiter, said.quote, said.escape, said.header_lines))
