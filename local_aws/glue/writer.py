"""Writes what a crawl found to the Data Catalog, through the API, as the crawler's policies say.

Rules: AWS Glue API reference, SchemaChangePolicy and RecrawlPolicy; Developer Guide, "Customizing crawler
behavior" and "Scheduling incremental crawls".
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_aws.glue.crawl import Found, Options, Target, table_of
from local_aws.glue.grouping import Folder, Plan, collision_name
from local_aws.glue.schema import Shape, columns, from_columns, merged
from local_aws.glue.tables import (
    DEPRECATED_BY,
    UPDATED_BY,
    Entry,
    format_of,
    partition_input,
    table_input,
)

CREATE_BATCH = 100
UPDATE_BATCH = 100
DELETE_BATCH = 25

Values = tuple[str, ...]


class Catalog(Protocol):
    """The catalog as a crawl reads it."""

    def tables(self, database: str) -> list[Entry] | None: ...
    def partitions(self, database: str, table: str) -> dict[Values, Entry]: ...


@dataclass
class Summary:
    """What a crawl changed, as ListCrawls tells it."""

    tables: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    partitions: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def as_dict(self) -> Entry:
        result: Entry = {}
        for action, names in self.tables.items():
            entry = {"Details": {"names": names}, "Count": len(names)}
            result.setdefault("TABLE", {})[action] = entry
        for action, count in self.partitions.items():
            if count:
                result.setdefault("PARTITION", {})[action] = {"Details": {"names": []}, "Count": count}
        return result


class Writer:
    """Writes one crawl. ``glue`` is a boto3 client, ``catalog`` what stands there now."""

    def __init__(self, glue: Any, catalog: Catalog, options: Options, existing: Iterable[Entry]) -> None:
        self._glue = glue
        self._catalog = catalog
        self._options = options
        self._tables = {table["Name"]: table for table in existing}
        self.summary = Summary()
        self.messages: list[str] = []

    def write(self, found: Found, targets: Sequence[Target]) -> None:
        """Bring the catalog to what was found."""
        if found.incremental:
            self._add_folders(found.new_folders)
            return
        written: set[str] = set()
        for plan in found.plans:
            name = self._name(plan, written)
            if plan.format is None and name not in self._tables:
                self.messages.append(f"No data in {plan.location}: no table is made")
                continue
            written.add(name)
            self._write_table(name, plan)
        self._delete_tables(written, targets)

    # --- tables ---------------------------------------------------------------------------------------------

    def _name(self, plan: Plan, written: set[str]) -> str:
        name = f"{self._options.table_prefix}{plan.base_name}".lower()
        standing = self._tables.get(name)
        taken = standing is not None and _location(standing) != plan.location.rstrip("/")
        return collision_name(name, plan.location) if taken or name in written else name

    def _write_table(self, name: str, plan: Plan) -> None:
        old = self._tables.get(name)
        if plan.format is None:
            assert old is not None
            self._write_partitions(old, plan)
            return
        shape = merged(folder.shape for folder in plan.folders)
        if old is None:
            new = table_input(name, self._options.crawler, plan, shape)
            self._glue.create_table(DatabaseName=self._options.database, TableInput=new)
            self.summary.tables["ADD"].append(name)
            self._write_partitions(new, plan)
            return
        if [key["Name"] for key in old.get("PartitionKeys", [])] != list(plan.partition_keys):
            self._replace(old, plan, shape)
            return
        new = table_input(name, self._options.crawler, plan, shape.ordered_like(_shape(old)))
        if self._options.merge_new_columns:
            if format_of(old) != plan.format:
                self.messages.append(f"Table {name}: its format changed, it is marked as deprecated")
                self._deprecate(old)
                return
            new = _with_new_columns(old, new, shape)
        if _input_of(old) != new:
            if self._options.update:
                self._glue.update_table(DatabaseName=self._options.database, TableInput=new)
                self.summary.tables["UPDATE"].append(name)
            else:
                self._log_difference(old, new)
                new = _input_of(old)
        self._write_partitions(new, plan)

    def _replace(self, old: Entry, plan: Plan, shape: Shape) -> None:
        """A table with other partition keys is another table: its partitions cannot stay."""
        name = old["Name"]
        if not self._options.update:
            self.messages.append(f"Table {name}: the folders no longer fit its partition keys; left as it is")
            return
        new = table_input(name, self._options.crawler, plan, shape)
        self._glue.delete_table(DatabaseName=self._options.database, Name=name)
        self._glue.create_table(DatabaseName=self._options.database, TableInput=new)
        self.summary.tables["UPDATE"].append(name)
        self._write_partitions(new, plan)

    def _log_difference(self, old: Entry, new: Entry) -> None:
        before, after = old["StorageDescriptor"]["Columns"], new["StorageDescriptor"]["Columns"]
        if before != after:
            names = sorted(
                {c["Name"] for c in after if c not in before} | {c["Name"] for c in before if c not in after}
            )
            self.messages.append(f"Table {old['Name']}: columns changed ({', '.join(names)}); only logged")

    def _delete_tables(self, written: set[str], targets: Sequence[Target]) -> None:
        roots = tuple(f"s3://{target.root}" for target in targets)
        for name, table in self._tables.items():
            ours = table.get("Parameters", {}).get(UPDATED_BY) == self._options.crawler
            if name in written or not ours or not f"{_location(table)}/".startswith(roots):
                continue
            if self._options.delete == "DELETE_FROM_DATABASE":
                self._glue.delete_table(DatabaseName=self._options.database, Name=name)
                self.summary.tables["DELETE"].append(name)
            elif self._options.delete == "DEPRECATE_IN_DATABASE":
                self._deprecate(table)
            else:
                self.messages.append(f"Table {name}: nothing is left at {_location(table)}; only logged")

    def _deprecate(self, table: Entry) -> None:
        if DEPRECATED_BY in table.get("Parameters", {}):
            return
        new = _input_of(table)
        new["Parameters"] = {**new.get("Parameters", {}), DEPRECATED_BY: str(int(time.time() * 1000))}
        self._glue.update_table(DatabaseName=self._options.database, TableInput=new)
        self.summary.tables["UPDATE"].append(table["Name"])

    # --- partitions -----------------------------------------------------------------------------------------

    def _add_folders(self, folders: Sequence[Folder]) -> None:
        """Incremental: new partitions of tables that exist, and nothing else."""
        ours = [
            table
            for table in self._tables.values()
            if table.get("Parameters", {}).get(UPDATED_BY) == self._options.crawler
        ]
        by_table: dict[str, list[Folder]] = defaultdict(list)
        for folder in folders:
            table, why_not = table_of(folder, ours, self._options)
            if table is None:
                self.messages.append(why_not)
            else:
                by_table[table["Name"]].append(folder)
        for name, new in by_table.items():
            table = _input_of(self._tables[name])
            root = tuple(table["StorageDescriptor"]["Location"].removeprefix("s3://").rstrip("/").split("/"))
            plan = Plan(root, tuple(new))
            known = self._catalog.partitions(self._options.database, name)
            self._create(name, [entry for entry in self._entries(table, plan) if _values(entry) not in known])

    def _entries(self, table: Entry, plan: Plan) -> list[Entry]:
        return [
            partition_input(
                self._options.crawler, plan.values(folder), folder, table, inherit=self._options.inherit
            )
            for folder in plan.folders
        ]

    def _write_partitions(self, table: Entry, plan: Plan) -> None:
        if not table.get("PartitionKeys"):
            return
        name = table["Name"]
        known = self._catalog.partitions(self._options.database, name)
        entries = {_values(entry): entry for entry in self._entries(table, plan)}
        self._create(name, [entry for values, entry in entries.items() if values not in known])
        changed = [
            entry for values, entry in entries.items() if values in known and _differs(known[values], entry)
        ]
        if changed and not self._options.update:
            self.messages.append(f"Table {name}: {len(changed)} partitions changed; only logged")
        elif changed:
            self._update(name, changed)
        gone = [values for values in known if values not in entries]
        if gone and self._options.delete == "DELETE_FROM_DATABASE":
            self._delete(name, gone)
        elif gone:
            self.messages.append(f"Table {name}: {len(gone)} partitions have no files any more; only logged")

    def _create(self, table: str, entries: Sequence[Entry]) -> None:
        for batch in _batches(entries, CREATE_BATCH):
            answer = self._glue.batch_create_partition(
                DatabaseName=self._options.database, TableName=table, PartitionInputList=batch
            )
            # A partition that someone else made meanwhile is there, which is all that was wanted.
            self.summary.partitions["ADD"] += len(batch) - len(answer.get("Errors", []))

    def _update(self, table: str, entries: Sequence[Entry]) -> None:
        for batch in _batches(entries, UPDATE_BATCH):
            answer = self._glue.batch_update_partition(
                DatabaseName=self._options.database,
                TableName=table,
                Entries=[{"PartitionValueList": entry["Values"], "PartitionInput": entry} for entry in batch],
            )
            self.summary.partitions["UPDATE"] += len(batch) - len(answer.get("Errors", []))

    def _delete(self, table: str, gone: Sequence[Values]) -> None:
        for batch in _batches(gone, DELETE_BATCH):
            answer = self._glue.batch_delete_partition(
                DatabaseName=self._options.database,
                TableName=table,
                PartitionsToDelete=[{"Values": list(values)} for values in batch],
            )
            self.summary.partitions["DELETE"] += len(batch) - len(answer.get("Errors", []))


_INPUT_FIELDS = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "TableType",
    "Parameters",
)


def _input_of(table: Mapping[str, Any]) -> Entry:
    """The part of a table that UpdateTable takes."""
    return {name: table[name] for name in _INPUT_FIELDS if table.get(name) is not None}


def _shape(table: Entry) -> Shape:
    return from_columns(table["StorageDescriptor"]["Columns"])


def _with_new_columns(old: Entry, new: Entry, shape: Shape) -> Entry:
    """MergeNewColumns: columns are added, never removed or changed; what a user set stays."""
    before = old["StorageDescriptor"]["Columns"]
    names = {column["Name"] for column in before}
    result = _input_of(old)
    result["Parameters"] = {**old.get("Parameters", {}), **new["Parameters"]}
    result["StorageDescriptor"] = {
        **new["StorageDescriptor"],
        "Columns": [*before, *(column for column in columns(shape) if column["Name"] not in names)],
    }
    return result


def _differs(old: Entry, new: Entry) -> bool:
    return any(old.get(name) != new[name] for name in ("StorageDescriptor", "Parameters"))


def _location(table: Entry) -> str:
    return str(table.get("StorageDescriptor", {}).get("Location", "")).rstrip("/")


def _values(entry: Entry) -> Values:
    return tuple(entry["Values"])


def _batches(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
