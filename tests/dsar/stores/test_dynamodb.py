"""``dynamodb``: items by key, by index and by scan; erased as long as they are as they were judged."""

from typing import Any

import pytest

from privacy_assets.dsar.stores.protocol import Erased, Identifier, Link, Retained, Store, StoreError
from resources.subject_items import ItemTable, NoSuchItems
from tests.dsar.stores.conftest import JANE, NOBODY, REQUEST, Stores, is_erased

HOLD = {"article": "GDPR Art. 17(3)(e)", "reason": "legal claims", "where": {"hold": True}}


@pytest.fixture
def table(kit: Stores) -> str:
    """Keys and attributes with reserved words for names; indexes with and without a sort key."""
    name = f"items-{kit.unique}"
    kit.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": kind}
            for each, kind in (("user", "S"), ("order", "N"), ("name", "S"), ("group", "S"))
        ],
        KeySchema=[
            {"AttributeName": "user", "KeyType": "HASH"},
            {"AttributeName": "order", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-name",
                "KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
            {
                "IndexName": "by-group",
                "KeySchema": [
                    {"AttributeName": "group", "KeyType": "HASH"},
                    {"AttributeName": "order", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            },
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    items: list[dict[str, Any]] = [
        {
            "user": {"S": "customer-4711"},
            "order": {"N": "1"},
            "name": {"S": "jane.doe@example.com"},
            "status": {"S": "jane.doe@example.com"},
            "devices": {"SS": ["device-1", "device-2"]},
            "secret": {"S": "s3"},
            "friend": {"M": {"mail": {"S": "friend@example.org"}}},
            "blob": {"B": b"\x00\xff"},
            "price": {"N": "1.50"},
            "hold": {"BOOL": False},
        },
        {
            "user": {"S": "customer-4711"},
            "order": {"N": "2"},
            "group": {"S": "jane.doe@example.com"},
            "hold": {"BOOL": True},
        },
        {"user": {"S": "customer-0815"}, "order": {"N": "1"}, "name": {"S": "max@example.com"}},
        {"user": {"S": "customer-0816"}, "order": {"N": "4711"}},
    ]
    for item in items:
        kit.dynamodb.put_item(TableName=name, Item=item)
    return name


def store(kit: Stores, table: str, **fields: Any) -> Store:
    declared = {
        "match": {"customer_id": "user", "email": "name"},
        "links": {"device_id": "devices"},
        **fields,
    }
    return kit.store("dynamodb", table=table, **declared)


def left(kit: Stores, table: str) -> list[tuple[str, str]]:
    items = kit.dynamodb.scan(TableName=table)["Items"]
    return sorted((item["user"]["S"], item["order"]["N"]) for item in items)


def test_a_subject_is_found_with_what_it_links_to(kit: Stores, table: str) -> None:
    found = store(kit, table).find({"email": JANE["email"]})
    source = Identifier("email", "jane.doe@example.com")
    assert found.records == 1
    assert found.links == {
        Link(source, Identifier("device_id", device), "store.devices") for device in ("device-1", "device-2")
    }
    assert store(kit, table).find(JANE).records == 2
    assert store(kit, table).find(NOBODY).records == 0


@pytest.mark.parametrize(
    ("match", "indexes", "route"),
    [("user", [], "query"), ("name", [], "query"), ("group", ["by-group"], "query"), ("group", [], "scan")],
)
def test_it_is_asked_the_cheapest_way(
    kit: Stores, table: str, match: str, indexes: list[str], route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    paginator = kit.subjects.items.table(table)._client.get_paginator
    client = type(kit.subjects.items.table(table)._client)
    monkeypatch.setattr(
        client, "get_paginator", lambda self, name: asked.append(name) or paginator(name), raising=True
    )
    found = store(kit, table, match={"any": match}, links={}, indexes=indexes)
    values = frozenset({"customer-4711", "jane.doe@example.com"})
    assert found.find({"any": values}).records >= 1
    assert set(asked) == {route}


def test_an_export_has_plain_values(kit: Stores, table: str) -> None:
    shown = store(kit, table, export={"secret": "omit", "friend": "mask"})
    (record,) = [each for each in shown.export(JANE) if each["order"] == 1]
    assert record == {
        "user": "customer-4711",
        "order": 1,
        "name": "jane.doe@example.com",
        "status": "jane.doe@example.com",
        "devices": ["device-1", "device-2"],
        "friend": {"mail": "fr••••rg"},
        "blob": "AP8=",
        "price": 1.5,
        "hold": False,
    }


def test_an_erasure_leaves_nothing_but_what_is_held(kit: Stores, table: str) -> None:
    held = Retained(HOLD["article"], HOLD["reason"], 1)  # type: ignore[arg-type]
    is_erased(store(kit, table, retain=[HOLD]), Erased(before=2, erased=1, retained=(held,)))
    assert left(kit, table) == [("customer-0815", "1"), ("customer-0816", "4711"), ("customer-4711", "2")]
    is_erased(store(kit, table), Erased(before=1, erased=1))


def test_a_scan_finds_text_and_numbers(kit: Stores, table: str) -> None:
    many = frozenset({f"value-{number}" for number in range(120)} | {"4711"})
    numbered = store(kit, table, match={"number": "order"}, links={})
    assert numbered.find({"number": many}).records == 1
    assert (
        store(kit, table, match={"any": ["status", "group"]}, links={}).find({"any": JANE["email"]}).records
        == 2
    )


def test_pages_are_followed(kit: Stores) -> None:
    name = f"many-{kit.unique}"
    kit.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(12):  # 12 of 250 KB are three pages
        item = {"id": {"S": str(number)}, "who": {"S": "customer-4711"}, "pad": {"S": "x" * 250_000}}
        kit.dynamodb.put_item(TableName=name, Item=item)
    is_erased(kit.store("dynamodb", table=name, match={"customer_id": "who"}), Erased(before=12, erased=12))


def test_fields_are_changed_where_items_stay(kit: Stores, table: str) -> None:
    changing = store(
        kit,
        table,
        match={"email": ["name", "status"]},
        change={"name": "hmac", "status": "redact", "friend": "null"},
    )
    is_erased(changing, Erased(before=1, changed=1))
    item = kit.dynamodb.get_item(TableName=table, Key={"user": {"S": "customer-4711"}, "order": {"N": "1"}})[
        "Item"
    ]
    assert item["name"] == {"S": kit.subjects.erasures.pseudonym("email", "jane.doe@example.com")}
    assert (item["status"], item["friend"], item["blob"]) == (
        {"S": "erased"},
        {"NULL": True},
        {"B": b"\x00\xff"},
    )
    with pytest.raises(StoreError, match="user: a key, which can't be changed"):
        store(kit, table, match={"customer_id": "user"}, links={}, change={"user": "redact"}).erase(
            JANE, REQUEST
        )


def test_what_is_changed_meanwhile_is_judged_again(
    kit: Stores, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a legal hold on an item between its reading and its deletion."""
    delete, key = ItemTable.delete, {"user": {"S": "customer-4711"}, "order": {"N": "1"}}
    tried: list[bool] = []

    def late(self: ItemTable, item: Any) -> bool:
        if not tried:
            kit.dynamodb.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #hold = :on",
                ExpressionAttributeNames={"#hold": "hold"},
                ExpressionAttributeValues={":on": {"BOOL": True}},
            )
        tried.append(delete(self, item))
        return tried[-1]

    monkeypatch.setattr(ItemTable, "delete", late)
    done = store(kit, table, match={"email": "name"}, retain=[HOLD]).erase(JANE, REQUEST)
    assert (tried, done.erased, done.retained[0].records) == ([False], 0, 1)
    assert ("customer-4711", "1") in left(kit, table)


def test_mistakes_are_told(kit: Stores, table: str) -> None:
    with pytest.raises(NoSuchItems, match="no such table in DynamoDB"):
        store(kit, "nowhere").find(JANE)
    with pytest.raises(NoSuchItems, match="no index 'by-x', expected one of by-name, by-group"):
        store(kit, table, indexes=["by-x"]).find(JANE)
