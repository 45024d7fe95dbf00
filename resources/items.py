"""Single items of DynamoDB tables in DynamoDB JSON, put on conditions, a thousand a second.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
"""

import json
import random
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import dagster as dg

from resources import clients
from resources.signed import CallFailed, caller

_PATIENCE_SECONDS = 300.0
_CONDITIONS = 90  # an expression has 4 KB

Item = Mapping[str, Any]


class NoSuchTable(Exception):  # noqa: N818  # what is wrong
    """There is no table of the name."""


class TablesResource(dg.ConfigurableResource[Any]):
    """The tables of the account."""

    def table(self, name: str) -> "TableItems":
        """A table by its name. Raises NoSuchTable."""
        return TableItems(name)


class TableItems:
    """The items of one table; binary values are base64. Raises NoSuchTable."""

    def __init__(self, name: str) -> None:
        self.name = name
        client = clients.client("dynamodb")
        try:
            self._described = client.describe_table(TableName=name)["Table"]
        except client.exceptions.ResourceNotFoundException:
            raise NoSuchTable(f"{name}: no such table in DynamoDB") from None

    @property
    def arn(self) -> str:
        """The table's ARN."""
        return str(self._described["TableArn"])

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its key attributes, the partition key first."""
        schema = sorted(self._described["KeySchema"], key=lambda each: str(each["KeyType"]))
        return tuple(str(each["AttributeName"]) for each in schema)

    @cached_property
    def _ttl(self) -> str | None:
        found = clients.client("dynamodb").describe_time_to_live(TableName=self.name)
        said = found["TimeToLiveDescription"]
        return str(said["AttributeName"]) if said.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None

    def ttl_attribute(self) -> str | None:
        """The attribute that says when an item's time to live is over; None when there is none."""
        return self._ttl

    def get(self, key: Item) -> Item | None:
        """The item of a key."""
        request = {"TableName": self.name, "Key": dict(key), "ConsistentRead": True}
        found: Item | None = _call("GetItem", request).get("Item")
        return found

    def first(self, limit: int) -> list[Item]:
        """Some items of the table, at most ``limit``."""
        request = {"TableName": self.name, "Limit": limit, "ConsistentRead": True}
        found: list[Item] = _call("Scan", request)["Items"]
        return found

    def delete(self, key: Item) -> None:
        """Delete the item of a key; fine when there is none."""
        _call("DeleteItem", {"TableName": self.name, "Key": dict(key)})

    def take_back(self, item: Item, keys: Sequence[str]) -> None:
        """Delete an item that is as it was put; what was written over it meanwhile stays."""
        condition, names, values = _condition(keys, item)
        request: dict[str, Any] = {
            "TableName": self.name,
            "Key": {name: item[name] for name in keys},
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        try:
            _call("DeleteItem", request)
        except CallFailed as failed:
            if failed.code != "ConditionalCheckFailedException":
                raise

    def put(self, item: Item, keys: Sequence[str], over: Item | None) -> Item | None:
        """Put an item where its key is free, or where ``over`` is; else answers what is there.

        Throttled for five minutes it gives up and raises CallFailed.
        """
        condition, names, values = _condition(keys, over)
        request: dict[str, Any] = {
            "TableName": self.name,
            "Item": dict(item),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **({"ExpressionAttributeValues": values} if values else {}),
        }
        try:
            _call("PutItem", request)
        except CallFailed as failed:
            if failed.code != "ConditionalCheckFailedException":
                raise
            found: Item = json.loads(failed.body).get("Item") or {}
            return found
        return None


def _condition(keys: Sequence[str], over: Item | None) -> tuple[str, dict[str, str], dict[str, Any]]:
    if over is None:
        return "attribute_not_exists(#key)", {"#key": keys[0]}, {}
    shown = list(over)[:_CONDITIONS]
    names = {f"#{number}": name for number, name in enumerate(shown)}
    values = {f":{number}": over[name] for number, name in enumerate(shown)}
    return " AND ".join(f"#{number} = :{number}" for number in range(len(shown))), names, values


def _call(action: str, request: dict[str, Any]) -> dict[str, Any]:
    until, pause = time.monotonic() + _PATIENCE_SECONDS, 0.5
    while True:
        try:
            return caller("dynamodb").json(action, request)
        except CallFailed as failed:
            throttled = "Throughput" in failed.code or "Throttl" in failed.code
            if not throttled or time.monotonic() > until:
                raise
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # no secret
        pause = min(pause * 2, 20.0)
