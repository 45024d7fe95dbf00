"""Subjects whose erasure was completed here and who are in a snapshot all the same, as after a backfill of a
night from before the erasure or an import of an old copy.

The registry of erasures, by which the archive refuses restores, knows them by a keyed HMAC. It is small
beside a snapshot, so it is read once and the snapshot's column of subjects streams past it: memory is bounded
by the number of erasures and a batch of rows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from privacy_assets.dsar.stores.models import DynamoDbStore
from privacy_assets.dsar.stores.rules import Rules, instant, text
from privacy_assets.estate import Estate, Table


class Erasure(Protocol):
    """The erasure of a subject; ``completed`` is None while it goes on."""

    @property
    def request_id(self) -> str: ...
    @property
    def completed(self) -> datetime | None: ...


class Registry(Protocol):
    """Who was erased."""

    def all(self) -> Mapping[str, Erasure]:
        """Every erasure by its subject's HMAC."""
        ...

    def hmac(self, noun: str, subject: str) -> str:
        """The HMAC of a table's subject."""
        ...


@dataclass
class Reappeared:
    """What was found: ids of requests and numbers, no value."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows by the completed request that they should have gone with."""
    under_way: Counter[str] = field(default_factory=Counter)
    """Rows by the request that is erasing them."""
    subjects: int = 0


class Watch:
    """What is looked for in the snapshots of one table."""

    def __init__(self, estate: Estate, table: Table) -> None:
        assert table.subject_key is not None
        self._table = table
        self._subject = table.column_name(table.subject_key)
        self._rules = [
            Rules(store, store.name, lambda _kind, value: value)
            for store in estate.stores
            if isinstance(store, DynamoDbStore) and store.table == table.table and store.retain
        ]
        asked = {field for rules in self._rules for each in rules.spec.retain for field in each.where} | {
            each.until.field for rules in self._rules for each in rules.spec.retain if each.until
        }
        self._attributes = sorted(asked & set(table.columns))
        self._time = table.column_name(table.time_key) if table.time_key else None

    @property
    def columns(self) -> Sequence[str]:
        """The snapshot's columns that are read."""
        found = {self._subject, *map(self._table.column_name, self._attributes)}
        return sorted(found | ({self._time} if self._time else set()))

    def look(self, batches: Iterable[pa.RecordBatch], registry: Registry) -> Reappeared:
        """Hold a snapshot's rows against the registry. What a store of the table may retain is no matter, and
        what is newer than the erasure is new.
        """
        found, erasures, there = Reappeared(), registry.all(), set[str]()
        for batch in batches if erasures else ():
            for row, key in self._erased(batch, registry, erasures):
                erasure = erasures[key]
                if erasure.completed is not None and self._is_new(row, erasure.completed):
                    continue
                there.add(key)
                rows = found.under_way if erasure.completed is None else found.rows
                rows[erasure.request_id] += 1
        found.subjects = len(there)
        return found

    def _erased(
        self, batch: pa.RecordBatch, registry: Registry, erasures: Mapping[str, Erasure]
    ) -> Iterator[tuple[Mapping[str, Any], str]]:
        """The rows of subjects who are registered and may not stay, with their HMAC."""
        keys: dict[Any, str] = {}
        subjects = batch.column(self._subject)
        for value in subjects.unique().to_pylist():
            subject = text(value)
            if subject and (key := registry.hmac(self._table.name, subject)) in erasures:
                keys[value] = key
        if not keys:
            return
        wanted = pa.array([value in keys for value in subjects.to_pylist()])
        for row in batch.filter(wanted).to_pylist():
            if not self._is_retained(row):
                yield row, keys[row[self._subject]]

    def _is_retained(self, row: Mapping[str, Any]) -> bool:
        record = {name: row[self._table.column_name(name)] for name in self._attributes}
        return any(rules.retained(record) is not None for rules in self._rules)

    def _is_new(self, row: Mapping[str, Any], completed: datetime) -> bool:
        at = instant(row[self._time]) if self._time else None
        return at is not None and at > completed
