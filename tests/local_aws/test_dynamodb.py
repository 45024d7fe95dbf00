"""DynamoDB over the history: reads and writes, loads into the past, streams, transactions, backups."""

import gzip
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_aws.dynamodb.keys import after_prefix, sort_key
from local_aws.process import running
from tests.local_aws.dynamodb import Item, Table, day, item, load_text
from tests.local_aws.dynamodb import client as make_client


@pytest.fixture
def table(aws: str, unique: str) -> Table:
    return Table(aws, f"table-{unique}").create()


@pytest.fixture
def ranged(aws: str, unique: str) -> Table:
    return Table(aws, f"ranged-{unique}", ranged=True).create()


def _at(key: str, number: Any, **attributes: Any) -> Item:
    return {"id": {"S": key}, "at": {"N": str(number)}, **attributes}


def _error(call: Any, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


# Numbers and sets.


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1.2E1", "12"),
        ("1.50", "1.5"),
        ("007", "7"),
        ("-0", "0"),
        ("0.00", "0"),
        ("-.5e-2", "-0.005"),
        ("+3.", "3"),
        ("1" * 38, "1" * 38),
        ("9.9e125", "99" + "0" * 124),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("100000000000000000000000000000000000000000", "1" + "0" * 41),
    ],
)
def test_a_number_is_kept_without_what_says_nothing(table: Table, written: str, kept: str) -> None:
    value = {"M": {"N": {"L": [{"N": written}, {"NS": [written]}]}}}
    expected = {"M": {"N": {"L": [{"N": kept}, {"NS": [kept]}]}}}
    table.client.put_item(TableName=table.name, Item=item("put", v=value))
    table.client.batch_write_item(
        RequestItems={table.name: [{"PutRequest": {"Item": item("batch", v=value)}}]}
    )
    table.client.update_item(
        TableName=table.name,
        Key={"id": {"S": "update"}},
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": value},
    )
    table.load({"Item": item("load", v=value)})
    assert [found["v"] for found in table.items()] == [expected] * 4


def test_a_sum_is_kept_without_what_says_nothing(table: Table) -> None:
    table.client.put_item(TableName=table.name, Item=item("a", n={"N": "1.5"}))
    table.client.update_item(
        TableName=table.name,
        Key={"id": {"S": "a"}},
        UpdateExpression="SET n = n + :n",
        ExpressionAttributeValues={":n": {"N": "5e-1"}},
    )
    assert table.items() == [item("a", n={"N": "2"})]
    most = item("a", n={"N": "9" + "0" * 125})
    table.client.put_item(TableName=table.name, Item=most)
    error = _error(
        table.client.update_item,
        TableName=table.name,
        Key={"id": {"S": "a"}},
        UpdateExpression="SET n = n + :n",
        ExpressionAttributeValues={":n": most["n"]},
    )
    assert "Number overflow" in error["Error"]["Message"]
    assert table.items() == [most]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
        ({"N": "1e126"}, "Number overflow"),
        ({"N": "-1e-131"}, "Number underflow"),
        ({"N": "NaN"}, "The parameter cannot be converted to a numeric value: NaN"),
        ({"N": ""}, "The parameter cannot be converted to a numeric value"),
        ({"L": [{"M": {"x": {"NS": ["1", "1e126"]}}}]}, "Number overflow"),
        ({"SS": ["a", "a"]}, r"Input collection \[a, a\] contains duplicates"),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        ({"BS": [b"a", b"a"]}, "Input collection contains duplicates"),
    ],
)
def test_a_value_that_dynamodb_refuses_is_refused(table: Table, value: dict[str, Any], message: str) -> None:
    item_ = item("a", v=value)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (table.client.put_item, {"TableName": table.name, "Item": item_}),
        (
            table.client.batch_write_item,
            {"RequestItems": {table.name: [{"PutRequest": {"Item": item_}}]}},
        ),
        (
            table.client.transact_write_items,
            {"TransactItems": [{"Put": {"TableName": table.name, "Item": item_}}]},
        ),
        (
            table.client.update_item,
            {
                "TableName": table.name,
                "Key": {"id": {"S": "a"}},
                "UpdateExpression": "SET v = :v",
                "ExpressionAttributeValues": {":v": value},
            },
        ),
    ]
    for call, arguments in calls:
        with pytest.raises(ClientError, match=message) as caught:
            call(**arguments)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert table.items() == []


# Loading.


def test_loaded_items_are_in_the_live_table(table: Table) -> None:
    loaded = table.load(
        {"Item": item("a", "1"), "WriteTime": day(2).isoformat()},
        {"Item": item("b", "1")},
        {"Delete": {"id": {"S": "a"}}, "WriteTime": day(1).isoformat()},
    )
    assert loaded == {"Items": 2, "Deletes": 1}
    assert table.items() == [item("b", "1")]


def test_a_load_into_the_past_does_not_undo_what_came_later(table: Table) -> None:
    table.client.put_item(TableName=table.name, Item=item("a", "now"))
    table.load({"Item": item("a", "then"), "WriteTime": day(3).isoformat()})
    assert table.items() == [item("a", "now")]
    assert table.as_of(day(2)) == [item("a", "then")]


_HOURS = (0, 30, 48, 60, 72)


def test_loading_twice_changes_nothing(table: Table) -> None:
    lines = [
        {"Item": item("a", str(number)), "WriteTime": day(9 - number).isoformat()} for number in range(4)
    ] + [{"Delete": {"id": {"S": "a"}}, "WriteTime": day(7, 12).isoformat()}]
    table.load(*lines)
    states = [table.as_of(day(9, hour)) for hour in _HOURS]
    table.load(*lines[::-1])
    table.load(*lines)
    assert [table.as_of(day(9, hour)) for hour in _HOURS] == states
    values = [state[0]["value"]["S"] if state else None for state in states]
    assert values == ["0", "1", "2", None, "3"]


def test_lines_may_be_compressed_and_blank_and_share_a_write_time(table: Table) -> None:
    body = "\n".join(json.dumps({"Item": item(key)}) for key in "ab") + "\n\n"
    answer = load_text(
        table.endpoint, table.name, gzip.compress(body.encode()), write_time=day(4).isoformat()
    )
    assert answer.json() == {"Items": 2, "Deletes": 0}
    assert table.as_of(day(5)) == []
    assert table.as_of(day(4)) == [item("a"), item("b")]


_GOOD = json.dumps({"Item": item("good")})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON: "),
        ("7", 'line 2: expected {"Item": {…}} or {"Delete": {…}}'),
        ('{"Item": {}, "Delete": {}}', 'line 2: expected one of "Item" and "Delete", and "WriteTime"'),
        ('{"Itm": {}}', 'line 2: expected {"Item": {…}} or {"Delete": {…}}'),
        ('{"Item": {"value": {"S": "x"}}}', 'line 2: key id: expected {"S": …}'),
        ('{"Item": {"id": {"N": "1"}}}', 'line 2: key id: expected {"S": …}'),
        ('{"Item": {"id": {"S": 1}}}', "line 2: key id: expected a string"),
        ('{"Item": {"id": {"S": ""}}}', "line 2: key id: expected a value that is not empty"),
        ('{"Item": {"id": {"S": "a"}, "v": "x"}}', "line 2: attribute v: expected one type and its value"),
        ('{"Item": {"id": {"S": "a"}, "v": {"N": 1}}}', "line 2: attribute v: expected N to hold a string"),
        (
            '{"Item": {"id": {"S": "a"}, "v": {"N": "1_0"}}}',
            "line 2: attribute v: expected N to hold a number",
        ),
        ('{"Item": {"id": {"S": "a"}, "v": {"B": "ä"}}}', "line 2: attribute v: expected B to hold base64"),
        ('{"Item": {"id": {"S": "a"}, "v": {"SS": []}}}', "line 2: attribute v: expected SS to hold a list"),
        (
            '{"Item": {"id": {"S": "a"}, "v": {"NS": ["1", "1"]}}}',
            "line 2: attribute v: expected NS to hold no",
        ),
        (
            '{"Item": {"id": {"S": "a"}, "v": {"M": {"x": {"Q": 1}}}}}',
            "line 2: attribute v: expected a type of S,",
        ),
        ('{"Item": {"id": {"S": "a"}}, "WriteTime": "noon"}', "line 2: WriteTime: expected ISO 8601"),
        (
            '{"Item": {"id": {"S": "a"}}, "WriteTime": "2999-01-01"}',
            "line 2: WriteTime: expected a time that is not",
        ),
        ('{"Delete": {"id": {"S": "a"}, "v": {"S": "x"}}}', "line 2: Delete: expected the key's attributes"),
        (json.dumps({"Item": item("a", "x" * 410_000)}), "line 2: expected an item of at most 400 KB"),
    ],
)
def test_one_wrong_line_loads_nothing_and_is_told(table: Table, line: str, message: str) -> None:
    answer = load_text(table.endpoint, table.name, f"{_GOOD}\n{line}\n{_GOOD}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)
    assert table.items() == []


def test_a_cut_off_gzip_loads_nothing(table: Table) -> None:
    body = gzip.compress((_GOOD + "\n").encode() * 1000)[:-20]
    answer = load_text(table.endpoint, table.name, body)
    assert answer.status_code == 400
    assert table.items() == []


def test_a_load_names_its_table(aws: str) -> None:
    answer = load_text(aws, "nowhere", _GOOD)
    assert (answer.status_code, answer.json()["message"]) == (400, "table nowhere: there is no such table")


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc to see another process's memory"
)
def test_loading_in_parts_takes_the_memory_of_one_part(unique: str) -> None:
    def resident_megabytes() -> float:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024

    with running() as server:  # of its own: what other tests left in one would be counted
        table = Table(server.endpoint, f"table-{unique}").create()
        taken = []
        for part in range(24):
            table.load(*({"Item": item(f"{part}-{number}", "x" * 300_000)} for number in range(30)))
            taken.append(resident_megabytes())
    # A part has 9 MB; kept, they would be 100 before Python collects them. The first ones grow the pools.
    assert max(taken[4:]) - max(taken[:4]) < 60, taken


# Reading.


def test_query_reads_a_partition_in_numeric_order(ranged: Table) -> None:
    numbers = ["-10000000000", "-2.5", "-2", "0", "0.1", "1", "2", "10", "100000000000000000000"]
    for number in reversed(numbers):
        ranged.client.put_item(TableName=ranged.name, Item=_at("a", number))
    ranged.client.put_item(TableName=ranged.name, Item=_at("b", 1))

    def query(condition: str = "", forward: bool = True, **values: str) -> list[str]:
        pages = ranged.client.get_paginator("query").paginate(
            TableName=ranged.name,
            KeyConditionExpression="id = :id" + (f" AND #at {condition}" if condition else ""),
            ExpressionAttributeValues={":id": {"S": "a"}, **{f":{k}": {"N": v} for k, v in values.items()}},
            **({"ExpressionAttributeNames": {"#at": "at"}} if condition else {}),
            ScanIndexForward=forward,
            PaginationConfig={"PageSize": 2},
        )
        return [found["at"]["N"] for page in pages for found in page["Items"]]

    assert query() == numbers
    assert query(forward=False) == numbers[::-1]
    assert query("> :x", x="0.10") == numbers[5:]
    assert query("<= :x", x="-2.0") == numbers[:3]
    assert query("BETWEEN :x AND :y", x="-2.5", y="1") == numbers[1:6]
    assert query("= :x", x="10.00") == ["10"]


def test_one_and_one_point_nought_are_one_key(ranged: Table) -> None:
    ranged.client.put_item(TableName=ranged.name, Item=_at("a", "1", value={"S": "first"}))
    ranged.client.put_item(TableName=ranged.name, Item=_at("a", "1.0", value={"S": "second"}))
    assert ranged.items() == [_at("a", "1", value={"S": "second"})]


def test_begins_with_stops_at_the_prefix(aws: str, unique: str) -> None:
    client = make_client("dynamodb", aws)
    name = f"prefix-{unique}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in "ps"],
        BillingMode="PAY_PER_REQUEST",
    )
    for sort in ("a", "ab", "ab\U0010ffff", "ac", "b"):
        client.put_item(TableName=name, Item={"p": {"S": "x"}, "s": {"S": sort}})
    found = client.query(
        TableName=name,
        KeyConditionExpression="p = :p AND begins_with(s, :s)",
        ExpressionAttributeValues={":p": {"S": "x"}, ":s": {"S": "ab"}},
    )
    assert [row["s"]["S"] for row in found["Items"]] == ["ab", "ab\U0010ffff"]


def test_pages_end_at_a_megabyte_before_the_filter(table: Table) -> None:
    table.load(*({"Item": item(f"{number:02}", "x" * 100_000)} for number in range(25)))
    scan = table.client.scan
    page = scan(
        TableName=table.name, FilterExpression="id = :id", ExpressionAttributeValues={":id": {"S": "24"}}
    )
    assert (page["Count"], page["ScannedCount"]) == (0, 10)
    page = scan(TableName=table.name, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert [found["id"]["S"] for found in page["Items"]] == [f"{number:02}" for number in range(10, 20)]
    assert len(table.items()) == 25


def test_segments_share_the_table_out(table: Table) -> None:
    table.load(*({"Item": item(f"{number}")} for number in range(50)))
    parts = [
        {
            found["id"]["S"]
            for found in table.client.scan(TableName=table.name, Segment=n, TotalSegments=3)["Items"]
        }
        for n in range(3)
    ]
    assert all(parts)
    assert set.union(*parts) == {str(number) for number in range(50)}
    assert sum(map(len, parts)) == 50


def test_indexes_are_queried_in_their_order_and_pages(aws: str, unique: str) -> None:
    client = make_client("dynamodb", aws)
    name = f"index-{unique}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": kind}
            for key, kind in (("id", "S"), ("group", "S"), ("n", "N"))
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-group",
                "KeySchema": [
                    {"AttributeName": "group", "KeyType": "HASH"},
                    {"AttributeName": "n", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(10):
        row = item(
            f"{number}", "x", group={"S": "even" if number % 2 == 0 else "odd"}, n={"N": str(100 - number)}
        )
        client.put_item(TableName=name, Item=row)
    client.put_item(TableName=name, Item=item("without", group={"S": "even"}))

    def ids(**arguments: Any) -> list[str]:
        pages = client.get_paginator("query").paginate(
            TableName=name, IndexName="by-group", KeyConditionExpression="#g = :g",
            ExpressionAttributeNames={"#g": "group"}, ExpressionAttributeValues={":g": {"S": "even"}},
            PaginationConfig={"PageSize": 2}, **arguments,
        )  # fmt: skip
        found = [row for page in pages for row in page["Items"]]
        assert all(set(row) == {"id", "group", "n"} for row in found)
        return [row["id"]["S"] for row in found]

    assert ids() == ["8", "6", "4", "2", "0"]
    assert ids(ScanIndexForward=False) == ["0", "2", "4", "6", "8"]
    assert len(client.scan(TableName=name, IndexName="by-group")["Items"]) == 10


def test_a_large_table_is_read_and_described_quickly(table: Table) -> None:
    table.load(*({"Item": item(f"{number:06}", "x" * 50)} for number in range(5_000)))
    assert table.client.describe_table(TableName=table.name)["Table"]["ItemCount"] == 5_000
    pages = table.client.get_paginator("scan").paginate(TableName=table.name)
    keys = [found["id"]["S"] for page in pages for found in page["Items"]]
    assert keys == [f"{number:06}" for number in range(5_000)]


# Writing.


def test_update_expressions_are_recorded(table: Table) -> None:
    table.load({"Item": item("a", "then", n={"N": "1"}, gone={"S": "x"}), "WriteTime": day(2).isoformat()})
    answer = table.client.update_item(
        TableName=table.name,
        Key={"id": {"S": "a"}},
        UpdateExpression="SET #v = :v ADD n :n, tags :t REMOVE gone",
        ExpressionAttributeNames={"#v": "value"},
        ExpressionAttributeValues={":v": {"S": "now"}, ":n": {"N": "2"}, ":t": {"SS": ["x"]}},
        ReturnValues="ALL_NEW",
    )
    expected = item("a", "now", n={"N": "3"}, tags={"SS": ["x"]})
    assert answer["Attributes"] == expected
    assert table.items() == [expected] == table.export().items
    assert table.as_of(day(1)) == [item("a", "then", n={"N": "1"}, gone={"S": "x"})]


def test_an_update_makes_the_item_it_does_not_find(table: Table) -> None:
    update = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    table.client.update_item(TableName=table.name, Key={"id": {"S": "new"}}, **update)
    assert table.items() == [item("new", n={"N": "1"})]


def test_a_refused_update_leaves_nothing_behind(table: Table) -> None:
    error = _error(
        table.client.update_item,
        TableName=table.name,
        Key={"id": {"S": "a"}},
        UpdateExpression="SET n = missing + :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    assert error["Error"]["Code"] == "ValidationException"
    assert table.items() == []


def test_conditional_writes_are_atomic(table: Table) -> None:
    clients = [make_client("dynamodb", table.endpoint) for _ in range(4)]

    def claim(number: int) -> bool:
        try:
            clients[number % 4].put_item(
                TableName=table.name,
                Item=item("one", str(number)),
                ConditionExpression="attribute_not_exists(id)",
            )
        except clients[0].exceptions.ConditionalCheckFailedException:
            return False
        return True

    def count(number: int) -> None:
        clients[number % 4].update_item(
            TableName=table.name,
            Key={"id": {"S": "count"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, range(40))) == 1
        list(pool.map(count, range(40)))
    assert table.client.get_item(TableName=table.name, Key={"id": {"S": "count"}})["Item"]["n"] == {"N": "40"}


def test_a_transaction_is_all_or_nothing_also_in_the_history(table: Table) -> None:
    table.load({"Item": item("a", "then"), "WriteTime": day(2).isoformat()})
    put = {"Put": {"TableName": table.name, "Item": item("b", "new")}}
    delete = {"Delete": {"TableName": table.name, "Key": {"id": {"S": "a"}}}}
    impossible = {
        "Update": {
            "TableName": table.name,
            "Key": {"id": {"S": "c"}},
            "UpdateExpression": "SET n = :n",
            "ConditionExpression": "attribute_exists(id)",
            "ExpressionAttributeValues": {":n": {"N": "1"}},
        }
    }
    error = _error(table.client.transact_write_items, TransactItems=[put, delete, impossible])
    assert error["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in error["CancellationReasons"]] == [
        "None",
        "None",
        "ConditionalCheckFailed",
    ]
    assert table.items() == [item("a", "then")] == table.export().items
    table.client.transact_write_items(TransactItems=[put, delete])
    assert table.items() == [item("b", "new")] == table.export().items
    assert table.as_of(day(1)) == [item("a", "then")]


def test_limits_of_dynamodb_hold(table: Table) -> None:
    too_many = [{"PutRequest": {"Item": item(str(number))}} for number in range(26)]
    error = _error(table.client.batch_write_item, RequestItems={table.name: too_many})
    assert error["Error"]["Code"] == "ValidationException"
    error = _error(table.client.put_item, TableName=table.name, Item=item("a", "x" * 420_000))
    assert error["Error"]["Code"] == "ValidationException"
    assert table.items() == []
    table.client.batch_write_item(RequestItems={table.name: too_many[:25]})
    assert len(table.items()) == 25


def test_partiql_writes_are_recorded(table: Table) -> None:
    table.client.execute_statement(
        Statement=f"INSERT INTO \"{table.name}\" VALUE {{'id': 'a', 'value': 'x'}}"
    )
    assert table.items() == [item("a", "x")] == table.export().items
    table.client.execute_statement(Statement=f"DELETE FROM \"{table.name}\" WHERE id = 'a'")
    assert table.items() == [] == table.export().items


def test_a_new_table_of_an_old_name_has_no_past(table: Table) -> None:
    table.load({"Item": item("a"), "WriteTime": day(2).isoformat()})
    old = table.client.describe_table(TableName=table.name)["Table"]["TableId"]
    table.client.delete_table(TableName=table.name)
    again = Table(table.endpoint, table.name).create()
    assert again.client.describe_table(TableName=table.name)["Table"]["TableId"] != old
    assert again.items() == [] == again.as_of(day(1))


# Streams.


def _records(table: Table) -> list[dict[str, Any]]:
    streams = make_client("dynamodbstreams", table.endpoint)
    arn = table.client.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records: list[dict[str, Any]] = []
    position = iterator["ShardIterator"]
    while True:
        page = streams.get_records(ShardIterator=position, Limit=2)
        if not page["Records"]:
            return records
        records += page["Records"]
        position = page["NextShardIterator"]


def test_streams_tell_each_change_with_both_images(aws: str, unique: str) -> None:
    table = Table(aws, f"stream-{unique}", stream=True).create()
    key = {"id": {"S": "a"}}
    table.load({"Item": item("a", "loaded"), "WriteTime": day(2).isoformat()})
    table.client.put_item(TableName=table.name, Item=item("a", "put"))
    table.client.update_item(
        TableName=table.name,
        Key={"id": {"S": "new"}},
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    table.client.delete_item(TableName=table.name, Key=key)
    table.client.delete_item(TableName=table.name, Key=key)
    records = _records(table)
    assert [
        (record["eventName"], record["dynamodb"].get("OldImage"), record["dynamodb"].get("NewImage"))
        for record in records
    ] == [
        ("MODIFY", item("a", "loaded"), item("a", "put")),
        ("INSERT", None, item("new", n={"N": "1"})),
        ("REMOVE", item("a", "put"), None),
    ]
    assert [record["dynamodb"]["Keys"] for record in records] == [key, {"id": {"S": "new"}}, key]
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert numbers == sorted(set(numbers))
    assert [record["eventID"] for record in _records(table)] == [record["eventID"] for record in records]


def test_a_latest_iterator_starts_behind_what_is_there(aws: str, unique: str) -> None:
    table = Table(aws, f"stream-{unique}", stream=True).create()
    streams = make_client("dynamodbstreams", aws)
    table.client.put_item(TableName=table.name, Item=item("before"))
    arn = table.client.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST")
    table.client.put_item(TableName=table.name, Item=item("after"))
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["dynamodb"]["Keys"]["id"]["S"] for record in records] == ["after"]


# Backups and restores.


def test_a_backup_keeps_what_was_there(table: Table) -> None:
    table.load({"Item": item("a", "kept")})
    backup = table.client.create_backup(TableName=table.name, BackupName="nightly")["BackupDetails"][
        "BackupArn"
    ]
    table.client.put_item(TableName=table.name, Item=item("a", "changed"))
    restored = Table(table.endpoint, f"{table.name}-restored")
    table.client.restore_table_from_backup(TargetTableName=restored.name, BackupArn=backup)
    assert restored.items() == [item("a", "kept")]
    restored.client.put_item(TableName=restored.name, Item=item("b"))
    assert table.items() == [item("a", "changed")]


def test_a_table_is_restored_to_a_point_in_time(table: Table) -> None:
    table.load({"Item": item("a", "then"), "WriteTime": day(3).isoformat()})
    table.client.put_item(TableName=table.name, Item=item("a", "now"))
    for moment, expected in ((day(1), "then"), (None, "now")):
        restored = Table(table.endpoint, f"{table.name}-{expected}")
        when = {"RestoreDateTime": moment} if moment else {"UseLatestRestorableTime": True}
        table.client.restore_table_to_point_in_time(
            SourceTableName=table.name, TargetTableName=restored.name, **when
        )
        assert restored.items() == [item("a", expected)]


def test_the_recovery_window_is_told(table: Table) -> None:
    described = table.client.describe_continuous_backups(TableName=table.name)
    recovery = described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    window = recovery["LatestRestorableDateTime"] - recovery["EarliestRestorableDateTime"]
    assert window == timedelta(days=35)
    assert abs(datetime.now(UTC) - recovery["LatestRestorableDateTime"]) < timedelta(minutes=1)


# Keys as bytes.

_NUMBERS = st.builds(
    lambda digits, power: Decimal(digits).scaleb(power), st.integers(-(10**20), 10**20), st.integers(-40, 40)
)


@given(one=_NUMBERS, other=_NUMBERS)
def test_number_keys_sort_by_value(one: Decimal, other: Decimal) -> None:
    first, second = sort_key("N", str(one)), sort_key("N", str(other))
    assert (first < second, first == second) == (one < other, one == other)


@given(prefix=st.binary(min_size=1, max_size=3), rest=st.binary(max_size=3), other=st.binary(max_size=4))
def test_after_prefix_is_the_least_bytes_above_it(prefix: bytes, rest: bytes, other: bytes) -> None:
    end = after_prefix(prefix)
    assert end is None or prefix + rest < end
    inside = other >= prefix and (end is None or other < end)
    assert inside == other.startswith(prefix)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-20, 20), st.booleans()), max_size=20))
def test_a_table_with_sort_keys_is_a_dictionary(aws: str, rows: list[tuple[str, int, bool]]) -> None:
    table = Table(aws, f"rows-{uuid.uuid4().hex}", ranged=True).create()
    model: dict[tuple[str, int], Item] = {}
    for number, (key, at, put) in enumerate(rows):
        if put:
            model[key, at] = _at(key, at, n={"N": str(number)})
            table.client.put_item(TableName=table.name, Item=model[key, at])
        else:
            model.pop((key, at), None)
            table.client.delete_item(TableName=table.name, Key=_at(key, at))
    expected = [model[key] for key in sorted(model)]
    assert table.items() == expected == table.export().items
    found = table.client.query(
        TableName=table.name,
        KeyConditionExpression="id = :a AND #at >= :zero",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":a": {"S": "a"}, ":zero": {"N": "0"}},
    )
    assert found["Items"] == [model[key] for key in sorted(model) if key[0] == "a" and key[1] >= 0]
