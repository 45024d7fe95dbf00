"""Tables whose items live in the history: moto's own table with its dictionary of items taken out.

What moto does by walking all items (query, scan, counting) is done here by the history's key order.
"""

import copy
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from moto.core.utils import utcnow
from moto.dynamodb.exceptions import InvalidIndexNameError, MockValidationException
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import RestoredPITTable, RestoredTable, StreamRecord, StreamShard, Table
from pydantic_core import from_json

from local_aws.dynamodb import items
from local_aws.dynamodb.history import (
    SECOND,
    Bound,
    Change,
    Clock,
    History,
    Microseconds,
    TableIdentity,
)
from local_aws.dynamodb.keys import after_prefix, sort_key

PAGE_BYTES = 1024 * 1024
TTL_PRINCIPAL = "dynamodb.amazonaws.com"
Page = tuple[list[Item], int, dict[str, Any] | None]

_COMPARISONS = {
    "=": "=",
    "EQ": "=",
    "<": "<",
    "LT": "<",
    "<=": "<=",
    "LE": "<=",
    ">": ">",
    "GT": ">",
    ">=": ">=",
    "GE": ">=",
}


class _ItemsOfHash:
    """The items of one partition key by their sort keys, as moto's ``table.items[hash]`` is used."""

    def __init__(self, table: "HistoryTable", hash_key: DynamoType) -> None:
        self._table = table
        self._hash_key = hash_key

    def __getitem__(self, range_key: DynamoType) -> Item:
        return self._table.stored(self._hash_key, range_key)

    def __setitem__(self, range_key: DynamoType, item: Item) -> None:
        self._table.save(item)

    def pop(self, range_key: DynamoType) -> Item:
        return self._table.remove(self._hash_key, range_key)


class _Items:
    """What moto's own put, get and delete need of ``table.items``."""

    def __init__(self, table: "HistoryTable") -> None:
        self._table = table

    def __contains__(self, hash_key: DynamoType) -> bool:
        try:
            self._table.stored(hash_key, None)
        except KeyError:
            return False
        return True

    def __getitem__(self, hash_key: DynamoType) -> Any:
        return (
            _ItemsOfHash(self._table, hash_key)
            if self._table.has_range_key
            else self._table.stored(hash_key, None)
        )

    def __setitem__(self, hash_key: DynamoType, item: Item) -> None:
        self._table.save(item)

    def pop(self, hash_key: DynamoType) -> Item:
        return self._table.remove(hash_key, None)


class HistoryShard(StreamShard):
    """The stream's one shard, read from the history: records outlive a restart and take no memory.

    A record's sequence number is its change's number above a fixed base. Records are trimmed after 24 hours.
    """

    table: "HistoryTable"

    @property
    def items(self) -> Any:
        """moto asks for its length alone: where a LATEST iterator starts."""
        return range(self.table.history.last_sequence(self.table.identity.number) + 1)

    @items.setter
    def items(self, value: list[StreamRecord]) -> None:
        """moto sets it to an empty list; records are kept by the history."""

    def add(self, old: Item | None, new: Item | None) -> None:
        """The history has the change already; Lambda functions that listen are told of it here."""
        if not self.table.lambda_event_source_mappings:
            return
        from moto.awslambda.utils import get_backend

        view = (self.table.stream_specification or {})["StreamViewType"]
        event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        number = self.starting_sequence_number + self.table.history.last_sequence(self.table.identity.number)
        record = StreamRecord(self.table, view, event, old, new, number)
        for arn, mapping in self.table.lambda_event_source_mappings.items():
            get_backend(self.account_id, arn.split(":")[3]).send_dynamodb_items(
                arn, [record], mapping.event_source_arn
            )

    def get(self, start: int, quantity: int) -> list[dict[str, Any]]:
        """Records from sequence number ``start`` on."""
        return [self.record(change) for change in self.changes(start, quantity)]

    def changes(self, start: int, quantity: int) -> list[Change]:
        """What the stream still has from sequence number ``start`` on: nothing of more than 24 hours ago."""
        first = start - self.starting_sequence_number
        while True:
            found = self.table.history.changes(
                self.table.identity.number, first, quantity, stream_clock.trimmed(self.table.history.clock)
            )
            changes = [change for change in found if change.old is not None or change.new is not None]
            if changes or not found:
                return changes
            first = found[-1].sequence + 1  # deletions of what was not there: no stream tells of them

    def is_trimmed(self, sequence_number: int) -> bool:
        """Whether the record of this sequence number was there and is no more."""
        history = self.table.history
        time = history.change_time(
            self.table.identity.number, sequence_number - self.starting_sequence_number
        )
        return time is not None and time < stream_clock.trimmed(history.clock)

    def record(self, change: Change) -> dict[str, Any]:
        """The change as GetRecords tells it."""
        table = self.table
        view = (table.stream_specification or {})["StreamViewType"]
        old, new = (None if text is None else from_json(text) for text in (change.old, change.new))
        image: dict[str, Any] = new if old is None else old  # type: ignore[assignment]  # not both are None
        keys = {name: image[name] for name in table.table_key_attrs}
        told: dict[str, Any] = {
            "ApproximateCreationDateTime": change.time // SECOND,
            "Keys": keys,
            "SequenceNumber": str(self.starting_sequence_number + change.sequence),
            "SizeBytes": sum(items.size(part) for part in (keys, old, new) if part is not None),
            "StreamViewType": view,
        }
        if new is not None and view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            told["NewImage"] = new
        if old is not None and view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            told["OldImage"] = old
        record: dict[str, Any] = {
            "eventID": f"{table.identity.number:08x}{change.sequence:024x}",
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": table.region_name,
            "dynamodb": told,
        }
        if change.identity is not None:
            record["userIdentity"] = {"PrincipalId": change.identity, "Type": "Service"}
        return record


class StreamClock:
    """What streams and their readers take for now: tests put it ahead, as if hours had passed."""

    retention = 24 * 3600 * SECOND

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now(self, clock: Clock) -> Microseconds:
        return Microseconds(clock.now() + round(self.ahead_seconds * SECOND))

    def trimmed(self, clock: Clock) -> Microseconds:
        """What is older than this is gone."""
        return Microseconds(self.now(clock) - self.retention)


stream_clock = StreamClock()


class HistoryTable(Table):
    """A table that keeps no item in memory. ``history`` is set once, before the first table is made."""

    history: ClassVar[History]
    identity: TableIdentity

    @property
    def items(self) -> Any:
        """Only what moto's put, get and delete use; nothing can walk it."""
        return _Items(self)

    @items.setter
    def items(self, value: Any) -> None:
        """moto's constructor sets an empty dictionary."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "HistoryTable":
        """moto copies whole tables to undo a failed transaction; here the store undoes it."""
        return self

    def set_stream_specification(self, streams: dict[str, Any] | None) -> None:
        enabled = bool(streams and (streams.get("StreamEnabled") or streams.get("StreamViewType")))
        if streams and enabled:
            self.stream_specification = {**streams, "StreamEnabled": True}
            self.latest_stream_label = utcnow().isoformat(timespec="milliseconds")
            self.stream_shard = HistoryShard(self.account_id, self)
        else:
            self.stream_specification = {"StreamEnabled": False}
            self.stream_shard = None

    def describe(self, base_key: str = "TableDescription") -> dict[str, Any]:
        description = super().describe(base_key)
        description[base_key]["TableId"] = self.identity.id
        return description

    def __len__(self) -> int:
        return self.history.count(self.identity.number)

    # Single items, as moto's put, get and delete ask for them.

    def stored(self, hash_key: DynamoType, range_key: DynamoType | None) -> Item:
        """The live item of a key. Raises KeyError."""
        text = self.history.item(self.identity.number, *self._sort_keys(hash_key, range_key))
        if text is None:
            raise KeyError
        return self.parse(text)

    def save(self, item: Item) -> None:
        """Make ``item`` what its key holds from now on."""
        try:
            text = items.dump(item)
        except ValueError as error:
            raise MockValidationException(str(error)) from None
        self._record(item.hash_key, item.range_key, text)

    def remove(self, hash_key: DynamoType, range_key: DynamoType | None) -> Item:
        """Delete a key's item and return it. Raises KeyError."""
        item = self.stored(hash_key, range_key)
        self._record(hash_key, range_key, None)
        return item

    def expire(self, hash_key: DynamoType, range_key: DynamoType | None) -> None:
        """Delete a key's item as the time-to-live process does. Raises KeyError."""
        item = self.stored(hash_key, range_key)
        self._record(hash_key, range_key, None, TTL_PRINCIPAL)
        if self.stream_shard is not None:
            self.stream_shard.add(item, None)

    def parse(self, text: str) -> Item:
        """The item of its stored JSON."""
        return items.load(text, self.hash_key_attr, self.range_key_attr)

    def _record(
        self,
        hash_key: DynamoType,
        range_key: DynamoType | None,
        text: bytes | None,
        identity: str | None = None,
    ) -> None:
        keys = self._sort_keys(hash_key, range_key)
        streamed = self.stream_shard is not None
        self.history.record(self.identity.number, *keys, text, streamed=streamed, identity=identity)

    def _sort_keys(self, hash_key: DynamoType, range_key: DynamoType | None) -> tuple[bytes, bytes]:
        return self._sort_key(hash_key), self._sort_key(range_key) if range_key else b""

    @staticmethod
    def _sort_key(value: DynamoType) -> bytes:
        if value.type not in ("S", "N", "B"):
            raise MockValidationException("The provided key element does not match the schema")
        try:
            return sort_key(value.type, value.value)
        except ValueError as error:
            raise MockValidationException(
                f"One or more parameter values were invalid: a key was expected to be {error}"
            ) from None

    # Many items.

    def all_items(self) -> list[Item]:
        return list(self._walk())

    def has_idx_items(self, index_name: str) -> list[Item]:
        names = self.get_index(index_name).schema_key_attrs
        return list(self._with_attributes(dict.fromkeys(names)))

    def _walk(self, bounds: Sequence[Bound] = (), *, reverse: bool = False) -> Iterator[Item]:
        rows = self.history.rows(self.identity.number, bounds=bounds, reverse=reverse)
        for _, _, text in rows:
            yield self.parse(text)

    def _with_attributes(self, wanted: dict[str, DynamoType | None]) -> Iterator[Item]:
        """Items that have all of these attributes, with these values where one is given."""
        types = {definition["AttributeName"]: definition["AttributeType"] for definition in self.attr}
        where, values = "", []
        for name, value in wanted.items():
            # Looked at below: names with a quote, which SQLite's paths can't hold, and numbers, which have
            # many spellings.
            if '"' in name or "\\" in name:
                continue
            where += " AND json_extract(item, ?) "
            values.append(f'$."{name}".{types.get(name, "S")}')
            if value is None or value.type == "N":
                where += "IS NOT NULL"
            else:
                where += "= ?"
                values.append(value.value)
        rows = self.history.rows(self.identity.number, where=where, values=values)
        for _, _, text in rows:
            item = self.parse(text)
            if all(
                name in item.attrs and (value is None or item.attrs[name] == value)
                for name, value in wanted.items()
            ):
                yield item

    def query(
        self,
        hash_key: DynamoType | None,
        range_comparison: str | None,
        range_objs: list[DynamoType],
        limit: int,
        exclusive_start_key: dict[str, Any],
        scan_index_forward: bool,
        projection_expressions: list[list[str]] | None,
        index_name: str | None = None,
        consistent_read: bool = False,
        filter_expression: Any = None,
        hash_key_conditions: list[tuple[str, DynamoType]] | None = None,
        range_key_conditions: list[tuple[str, str, list[DynamoType]]] | None = None,
        **filter_kwargs: Any,
    ) -> Page:
        if index_name:
            ordered = self._query_index(
                index_name, consistent_read, hash_key_conditions or [], range_key_conditions or []
            )
            found = self._after(index_name, ordered, exclusive_start_key, forward=scan_index_forward)
        else:
            if hash_key is None:
                raise MockValidationException(
                    "Query condition missed key schema element: " + self.hash_key_attr
                )
            bounds: list[Bound] = [("hash = ?", (self._typed(hash_key, self.hash_key_type),))]
            if range_comparison:
                bounds += self._range_bounds(range_comparison, range_objs)
            if exclusive_start_key and self.range_key_attr:
                start = self._sort_key(DynamoType(exclusive_start_key[self.range_key_attr]))
                bounds.append((f"range {'>' if scan_index_forward else '<'} ?", (start,)))
            elif exclusive_start_key:
                return [], 0, None
            found = self._walk(bounds, reverse=not scan_index_forward)
        filters = {
            name: (
                condition["ComparisonOperator"],
                [DynamoType(value) for value in condition["AttributeValueList"]],
            )
            for name, condition in filter_kwargs.items()
        }
        return self._page(found, limit, index_name, filters, filter_expression, projection_expressions)

    def scan(
        self,
        filters: dict[str, Any],
        limit: int,
        exclusive_start_key: dict[str, Any],
        filter_expression: Any = None,
        index_name: str | None = None,
        consistent_read: bool = False,
        projection_expression: list[list[str]] | None = None,
        segments: tuple[None, None] | tuple[int, int] = (None, None),
    ) -> Page:
        found: Iterator[Item]
        if index_name:
            index = self.get_index(index_name, error_if_not=True)
            self._check_consistency(index_name, consistent_read)
            wanted: dict[str, DynamoType | None] = dict.fromkeys(index.schema_key_attrs)
            ordered = sorted(self._with_attributes(wanted), key=self._order(index_name))
            found = self._after(index_name, ordered, exclusive_start_key, forward=True)
        else:
            bounds: list[Bound] = []
            if exclusive_start_key:
                start = self._sort_keys(*self._key(exclusive_start_key))
                bounds.append(("(hash, range) > (?, ?)", start))
            found = self._walk(bounds)
        if segments != (None, None):
            found = (item for item in found if self._in_segment(item, segments))
        return self._page(found, limit, index_name, filters, filter_expression, projection_expression)

    def _query_index(
        self,
        index_name: str,
        consistent_read: bool,
        hash_conditions: list[tuple[str, DynamoType]],
        range_conditions: list[tuple[str, str, list[DynamoType]]],
    ) -> list[Item]:
        """The index's items that meet the key conditions, in its order."""
        self._check_consistency(index_name, consistent_read)
        index = self.get_index(index_name, error_if_not=True)
        wanted: dict[str, DynamoType | None] = dict.fromkeys(index.schema_key_attrs)
        wanted.update(hash_conditions)
        found = (
            item
            for item in self._with_attributes(wanted)
            if all(
                item.attrs[name].compare(comparison, values) for name, comparison, values in range_conditions
            )
        )
        return sorted(found, key=self._order(index_name))

    def _check_consistency(self, index_name: str, consistent_read: bool) -> None:
        if all(index.name != index_name for index in self.all_indexes()):
            raise InvalidIndexNameError(f"The table does not have the specified index: {index_name}")
        if consistent_read and any(index.name == index_name for index in self.global_indexes):
            raise MockValidationException("Consistent reads are not supported on global secondary indexes")

    def _order(self, index_name: str) -> Any:
        names = [*self.get_index(index_name).schema_key_attrs, *self.table_key_attrs]
        return lambda item: tuple(self._sort_key(item.attrs[name]) for name in names)

    def _after(
        self, index_name: str, ordered: list[Item], start: dict[str, Any] | None, *, forward: bool
    ) -> Iterator[Item]:
        """The items of an index that follow the last one of the page before."""
        found = ordered if forward else ordered[::-1]
        if not start:
            return iter(found)
        order = self._order(index_name)
        names = [*self.get_index(index_name).schema_key_attrs, *self.table_key_attrs]
        last = tuple(self._sort_key(DynamoType(start[name])) for name in names)
        return (item for item in found if (order(item) > last if forward else order(item) < last))

    def _range_bounds(self, comparison: str, values: list[DynamoType]) -> list[Bound]:
        keys = tuple(self._typed(value, self.range_key_type) for value in values)
        if comparison in _COMPARISONS:
            return [(f"range {_COMPARISONS[comparison]} ?", keys)]
        if comparison == "BETWEEN":
            return [("range BETWEEN ? AND ?", keys)]
        if comparison == "BEGINS_WITH" and self.range_key_type != "N":
            end = after_prefix(keys[0])
            return [("range >= ?", keys)] + ([("range < ?", (end,))] if end is not None else [])
        raise MockValidationException(f"Unsupported operator on KeyCondition: {comparison}")

    def _typed(self, value: DynamoType, expected: str | None) -> bytes:
        if value.type != expected:
            raise MockValidationException(
                "One or more parameter values were invalid: "
                "Condition parameter type does not match schema type"
            )
        return self._sort_key(value)

    def _key(self, attributes: dict[str, Any]) -> tuple[DynamoType, DynamoType | None]:
        try:
            range_key = DynamoType(attributes[self.range_key_attr]) if self.range_key_attr else None
            return DynamoType(attributes[self.hash_key_attr]), range_key
        except KeyError:
            raise MockValidationException("The provided starting key is invalid") from None

    def _in_segment(self, item: Item, segments: tuple[Any, Any]) -> bool:
        return bool(zlib.crc32(self._sort_key(item.hash_key)) % segments[1] == segments[0])

    def _page(
        self,
        found: Iterator[Item],
        limit: int | None,
        index_name: str | None,
        filters: dict[str, Any],
        filter_expression: Any,
        projection: list[list[str]] | None,
    ) -> Page:
        """One page: ends after ``limit`` items or 1 MB, counted before any filter, as DynamoDB does.

        As there, a page that ends at its limit has a LastEvaluatedKey even when nothing follows.
        """
        results: list[Item] = []
        scanned = size = 0
        last: Item | None = None
        complete = True
        index = self.get_index(index_name) if index_name else None
        for item in found:
            size += item.size()
            if last is not None and size > PAGE_BYTES:
                complete = False
                break
            scanned += 1
            last = item
            projected = index.project(item) if index else item
            if _passes(projected, filters) and (
                filter_expression is None or filter_expression.expr(projected)
            ):
                results.append(projected.project(projection) if projection else projected)
            if limit and scanned >= limit:
                complete = False
                break
        key = (
            None
            if complete or last is None
            else copy.deepcopy(self._get_last_evaluated_key(last, index_name))
        )
        return results, scanned, key


class HistoryRestoredTable(RestoredTable, HistoryTable):
    """A table made from a backup."""


class HistoryRestoredPITTable(RestoredPITTable, HistoryTable):
    """A table made from another's state at a point in time."""


def _passes(item: Item, filters: dict[str, Any]) -> bool:
    """The old ScanFilter and QueryFilter: attribute name to (operator, values), all of which must hold."""
    for name, (operator, values) in filters.items():
        attribute = item.attrs.get(name)
        if attribute is None:
            if operator != "NULL":
                return False
        elif not attribute.compare(operator, values):
            return False
    return True
