"""Items of DynamoDB tables by any attribute: found through keys, indexes or a scan, erased on a condition.

Items have Python's own values: numbers are Decimal, binary is bytes. An item is deleted or changed only as
long as it is as it was read, so that nothing is lost that somebody wrote meanwhile.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any, cast

from resources import clients

_CONDITIONS = 60  # an expression has 4 KB, and 300 operators
_FILTER = 50
_SEGMENTS = 4


class Item(dict[str, Any]):
    """An item by attribute, in Python's values; ``raw`` is what DynamoDB gave."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__({name: _native(value) for name, value in raw.items()})
        self.raw = raw


class NoSuchItems(LookupError):  # noqa: N818  # what is wrong
    """There is no such table or index; one line that says what was expected."""


class ItemTables:
    """The tables of the account."""

    def table(self, name: str) -> "ItemTable":
        """A table by its name. Raises NoSuchItems."""
        return ItemTable(name)


class ItemTable:
    """One table. Raises NoSuchItems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = clients.client("dynamodb")
        try:
            self._said = self._client.describe_table(TableName=name)["Table"]
        except self._client.exceptions.ResourceNotFoundException:
            raise NoSuchItems(f"{name}: no such table in DynamoDB") from None
        self._types = {
            each["AttributeName"]: each["AttributeType"] for each in self._said["AttributeDefinitions"]
        }
        self.keys: tuple[str, ...] = _schema(self._said)

    def find(self, fields: Mapping[str, Collection[str]], indexes: Collection[str]) -> Iterator[Item]:
        """The items in which one of ``fields`` has one of its values, each once, as they are now.

        ``indexes`` are global indexes with a sort key that may be asked: all items are in them.
        """
        routes = {field: self._route(field, indexes) for field in fields}
        seen: set[tuple[str, ...]] = set()
        scanned = {field: values for field, values in fields.items() if routes[field] is None}
        for item in chain(self._queries(fields, routes), self._scan(scanned)):
            key = tuple(repr(item[name]) for name in self.keys)
            if key not in seen:
                seen.add(key)
                yield item

    def get(self, item: Item) -> Item | None:
        """The item of the same key as it is now."""
        wanted = {name: item.raw[name] for name in self.keys}
        found = self._client.get_item(TableName=self.name, Key=wanted, ConsistentRead=True).get("Item")
        return None if found is None else Item(found)

    def delete(self, item: Item) -> bool:
        """Delete an item if it still is as it was read; True also when it is gone; else False."""
        try:
            self._client.delete_item(
                TableName=self.name, Key={name: item.raw[name] for name in self.keys}, **_unchanged(item)
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return self.get(item) is None
        return True

    def change(self, item: Item, values: Mapping[str, Any]) -> bool:
        """Give some attributes of an item new values if it still is as it was read; else False."""
        try:
            self._client.put_item(
                TableName=self.name,
                Item={**item.raw, **{name: _to(value) for name, value in values.items()}},
                **_unchanged(item),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _route(self, field: str, indexes: Collection[str]) -> str | None:
        """What to ask for an attribute: "" for the table itself, an index, None for a scan."""
        if field == self.keys[0]:
            return ""
        known: dict[str, tuple[str, ...]] = {
            each["IndexName"]: _schema(each) for each in self._said.get("GlobalSecondaryIndexes", ())
        }
        for name in indexes:
            if name not in known:
                raise NoSuchItems(
                    f"{self.name}: no index {name!r}, expected one of {', '.join(known) or 'no index at all'}"
                )
        for name, keys in known.items():
            if keys[0] == field and (len(keys) == 1 or name in indexes):
                return name
        return None

    def _queries(
        self, fields: Mapping[str, Collection[str]], routes: Mapping[str, str | None]
    ) -> Iterator[Item]:
        for field, values in fields.items():
            index = routes[field]
            if index is None:
                continue
            for value in sorted(values):
                wanted = self._key_value(field, value)
                if wanted is None:
                    continue
                pages = self._client.get_paginator("query").paginate(
                    TableName=self.name,
                    KeyConditionExpression="#0 = :0",
                    ExpressionAttributeNames={"#0": field},
                    ExpressionAttributeValues={":0": wanted},
                    **({"IndexName": index} if index else {"ConsistentRead": True}),
                )
                for page in pages:
                    for found in map(Item, page["Items"]):
                        # An index lags behind, and may not have all attributes: the table is asked.
                        item = self.get(found) if index else found
                        if item is not None and item.get(field) == found.get(field):
                            yield item

    def _scan(self, fields: Mapping[str, Collection[str]]) -> Iterator[Item]:
        """The whole table, read once for each few dozen values; attributes of any name and either type."""
        wanted = [
            (field, literal)
            for field, values in fields.items()
            for value in sorted(values)
            for literal in _literals(value)
        ]
        for start in range(0, len(wanted), _FILTER):
            some = wanted[start : start + _FILTER]
            names = {field: f"#{place}" for place, field in enumerate({field for field, _ in some})}
            pages = self._client.get_paginator("scan").paginate(
                TableName=self.name,
                ConsistentRead=True,
                FilterExpression=" OR ".join(
                    f"{names[field]} = :{place}" for place, (field, _) in enumerate(some)
                ),
                ExpressionAttributeNames={short: field for field, short in names.items()},
                ExpressionAttributeValues={f":{place}": literal for place, (_, literal) in enumerate(some)},
            )
            for page in pages:
                yield from map(Item, page["Items"])

    def _key_value(self, field: str, value: str) -> dict[str, Any] | None:
        """A key's value in its type; None when it can't be in it. Keys are never empty."""
        kind = self._types[field]
        if kind == "N":
            return next((found for found in _literals(value) if "N" in found), None)
        return {kind: value.encode() if kind == "B" else value} if value else None


def _schema(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a key, the partition key first."""
    return tuple(
        each["AttributeName"] for each in sorted(said["KeySchema"], key=lambda each: each["KeyType"])
    )


def _literals(value: str) -> Sequence[dict[str, str]]:
    """An identifier as DynamoDB may hold it: text, or a number in its shortest form."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return ({"S": value},)
    if number.is_finite() and f"{number.normalize():f}" == value and len(number.as_tuple().digits) <= 38:
        return {"S": value}, {"N": value}
    return ({"S": value},)


def _unchanged(item: Item) -> dict[str, Any]:
    """The condition that an item is as it was read; as much of it as an expression holds."""
    shown = list(item.raw)[:_CONDITIONS]
    return {
        "ConditionExpression": " AND ".join(f"#{place} = :{place}" for place in range(len(shown))),
        "ExpressionAttributeNames": {f"#{place}": name for place, name in enumerate(shown)},
        "ExpressionAttributeValues": {f":{place}": item.raw[name] for place, name in enumerate(shown)},
    }


def _native(value: Any) -> Any:
    from boto3.dynamodb.types import TypeDeserializer

    return _bytes(TypeDeserializer().deserialize(value))


def _bytes(value: Any) -> Any:
    """A value without the SDK's own class for binary."""
    from boto3.dynamodb.types import Binary

    if isinstance(value, Binary):
        return bytes(cast("Any", value).value)
    if isinstance(value, dict):
        return {name: _bytes(part) for name, part in value.items()}
    if isinstance(value, list | set):
        return type(value)(_bytes(part) for part in value)
    return value


def _to(value: Any) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    return dict(TypeSerializer().serialize(value))
