"""``sql``: tables of a database, erased in the file's order, in one transaction.

A row is locked while it is judged, so that what is kept and what goes is decided on what is there. A table
whose rows all go is deleted from in one statement.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from privacy_assets.dsar.stores.models import SqlStore, SqlTable
from privacy_assets.dsar.stores.protocol import (
    Erased,
    Found,
    Identifiers,
    Link,
    Record,
    Remaining,
    RequestId,
    StoreError,
    Tally,
)
from privacy_assets.dsar.stores.rules import Rules
from privacy_assets.dsar.stores.tools import Databases, Rows, Tools


class Sql:
    """A subject's rows in the tables of one database."""

    def __init__(self, spec: SqlStore, tools: Tools) -> None:
        self.name, self._variable = spec.name, spec.url
        self._databases: Databases = tools.databases
        self._tables = [
            (table, Rules(table, f"{spec.name}.{table.table}", tools.erasures.pseudonym))
            for table in spec.tables
        ]
        self.kinds = frozenset(kind for table in spec.tables for kind in table.match)

    def find(self, identifiers: Identifiers) -> Found:
        found = Found(0)
        with self._databases.begin(self._variable, read_only=True) as rows:
            for table, rules in self._tables:
                records, links = 0, set[Link]()
                for row in self._rows(rows, table, rules, identifiers):
                    records += 1
                    links.update(rules.links(row, identifiers))
                found += Found(records, frozenset(links), rules.changing(records))
        return found

    def export(self, identifiers: Identifiers) -> Iterator[Record]:
        with self._databases.begin(self._variable, read_only=True) as rows:
            for table, rules in self._tables:
                for row in self._rows(rows, table, rules, identifiers):
                    yield {"table": table.table, **rules.exported(row)}

    def erase(self, identifiers: Identifiers, request_id: RequestId) -> Erased:  # noqa: ARG002
        done = Erased()
        with self._databases.begin(self._variable) as rows:
            for table, rules in self._tables:
                if rules.deletes_all:
                    gone = rows.delete(table.table, table.schema_name, rules.wanted(identifiers))
                    done += Erased(gone, gone)
                else:
                    done += self._judged(rows, table, rules, identifiers)
        return done

    def verify(self, identifiers: Identifiers, touched: Sequence[str] = ()) -> Remaining:  # noqa: ARG002
        left = Remaining()
        with self._databases.begin(self._variable, read_only=True) as rows:
            for table, rules in self._tables:
                for row in self._rows(rows, table, rules, identifiers):
                    kept = rules.retained(row)
                    left += Remaining(retained=(kept,)) if kept else Remaining(1)
        return left

    def _rows(self, rows: Rows, table: SqlTable, rules: Rules, identifiers: Identifiers) -> Iterator[Any]:
        return rows.find(table.table, table.schema_name, rules.wanted(identifiers))

    def _judged(self, rows: Rows, table: SqlTable, rules: Rules, identifiers: Identifiers) -> Erased:
        """Row by row, for a table of which something stays."""
        where = table.table, table.schema_name
        key = rows.primary_key(*where)
        if not key:
            raise StoreError(
                f"{rules.place}: no primary key, expected one in a table with 'retain' or 'change'"
            )
        tally = Tally()
        found = [
            ({name: row[name] for name in key}, rules.changes(row))
            for row in rows.find(*where, rules.wanted(identifiers), lock=True)
            if rules.judge(row, tally)
        ]
        if rules.spec.change:
            for one, values in found:
                rows.change(*where, one, values)
        else:
            rows.delete_keys(*where, [one for one, _ in found])
        return tally.done()
