"""``archive``: deleted records of governed tables, object and row.

The erasure is noted before anything goes: from then on the archive takes nothing of the subject, and restores
give nothing back. That it is completed is the request's to say, when every other store has lost them, too.
"""

import json
from collections.abc import Iterator, Sequence

from privacy_assets.archive import removal, rows
from privacy_assets.dsar.stores.models import ArchiveStore
from privacy_assets.dsar.stores.protocol import Erased, Found, Identifiers, Record, Remaining, RequestId
from privacy_assets.dsar.stores.rules import plain
from privacy_assets.dsar.stores.tools import Tools
from privacy_assets.estate import Table

_SHOWN = ("table_name", "deleted_at", "cause", "item")


class Archive:
    """A subject's deleted records."""

    def __init__(self, spec: ArchiveStore, tools: Tools, tables: Sequence[Table]) -> None:
        self.name, self._kind, self._tools, self._tables = spec.name, spec.subject, tools, tables
        self.kinds = frozenset({spec.subject})

    def find(self, identifiers: Identifiers) -> Found:
        return Found(sum(1 for _ in self._rows(identifiers, ("table_name",))))

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        for row in self._rows(identifiers, _SHOWN):
            yield {
                "table": row["table_name"],
                "deleted_at": plain(row["deleted_at"]),
                "cause": row["cause"],
                "item": json.loads(row["item"]),
            }

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:
        done = Erased()
        store, erasures = self._tools.iceberg(), self._tools.erasures
        rows.ensure(store)
        for table in self._tables:
            for value in self._values(identifiers):
                erasures.close(table.name, value, request_id)
                gone = removal.erase(store, self._tools.archive, table, value)
                done += Erased(gone.rows, gone.rows, versions=gone.objects)
        return done

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:  # noqa: ARG002
        return Remaining(self.find(identifiers).records)

    def _values(self, identifiers: Identifiers) -> list[str]:
        return sorted(identifiers.get(self._kind, ()))

    def _rows(self, identifiers: Identifiers, columns: Sequence[str]) -> Iterator[dict[str, str]]:
        values, store = self._values(identifiers), self._tools.iceberg()
        if not values or not store.exists(rows.DELETIONS):
            return
        where = {"table_name": [table.name for table in self._tables], "subject": values}
        for batch in store.batches(rows.DELETIONS, columns, where):
            yield from batch.to_pylist()
