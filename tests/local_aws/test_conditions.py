"""Conditions on values of every type hold for what an item was read as."""

import pytest

from tests.house import client

ITEM = {
    "id": {"S": "a"}, "text": {"S": "x"}, "number": {"N": "1.5"}, "binary": {"B": b"\x00\xff"},
    "texts": {"SS": ["a", "b"]}, "binaries": {"BS": [b"a", b"b"]}, "map": {"M": {"b": {"S": "c"}}},
    "list": {"L": [{"N": "1"}]}, "yes": {"BOOL": True}, "null": {"NULL": True},
}  # fmt: skip


def test_an_item_is_as_it_was_read(aws: str, unique: str) -> None:
    dynamodb, table = client("dynamodb"), f"conditions-{unique}"
    dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=table, Item=ITEM)
    read = dynamodb.get_item(TableName=table, Key={"id": {"S": "a"}})["Item"]

    def delete(**values: object) -> None:
        names = list(values)
        dynamodb.delete_item(
            TableName=table,
            Key={"id": {"S": "a"}},
            ConditionExpression=" AND ".join(f"#{place} = :{place}" for place in range(len(names))),
            ExpressionAttributeNames={f"#{place}": name for place, name in enumerate(names)},
            ExpressionAttributeValues={f":{place}": values[name] for place, name in enumerate(names)},
        )

    for name, other in (("binary", {"B": b"\x00"}), ("binaries", {"BS": [b"a"]}), ("text", {"S": "y"})):
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
            delete(**{**read, name: other})
    delete(**read)
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"id": {"S": "a"}})
