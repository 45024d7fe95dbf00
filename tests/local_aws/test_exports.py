"""Exports to S3: the state at the instant asked for, in the files that DynamoDB writes, with its errors."""

import gzip
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local_aws.dynamodb import Item, Table, day, item


@pytest.fixture
def table(aws: str, unique: str) -> Table:
    return Table(aws, f"exports-{unique}").create()


def test_three_instants_have_three_answers(table: Table) -> None:
    table.load(
        {"Item": item("a", "first"), "WriteTime": day(5, 1).isoformat()},
        {"Item": item("b", "first"), "WriteTime": day(5, 2).isoformat()},
        {"Item": item("a", "second"), "WriteTime": day(3).isoformat()},
        {"Delete": {"id": {"S": "b"}}, "WriteTime": day(3, 1).isoformat()},
    )
    table.client.put_item(TableName=table.name, Item=item("c", "live"))
    table.client.delete_item(TableName=table.name, Key={"id": {"S": "a"}})
    assert table.as_of(day(6)) == []
    assert table.as_of(day(4)) == [item("a", "first"), item("b", "first")]
    assert table.as_of(day(1)) == [item("a", "second")]
    assert table.export().items == [item("c", "live")] == table.items()


def test_a_write_counts_from_its_very_instant(table: Table) -> None:
    table.load({"Item": item("a", "old"), "WriteTime": day(3).isoformat()})
    table.load({"Item": item("a", "new"), "WriteTime": day(2).isoformat()})
    assert table.as_of(day(2) - timedelta(seconds=1)) == [item("a", "old")]
    assert table.as_of(day(2)) == [item("a", "new")]


def test_files_and_manifests_are_dynamodbs(table: Table) -> None:
    table.load(
        *({"Item": item(f"key-{number}", "x" * 50)} for number in range(200)), write_time=day(2).isoformat()
    )
    export = table.export(S3Prefix="exports/logs/", ExportTime=day(1), ClientToken=f"token-{table.name}")
    description, summary = export.description, export.summary
    assert export.folder == f"exports/logs/AWSDynamoDB/{description['ExportArn'].rsplit('/', 1)[1]}/"
    keys = {found["Key"] for found in table.s3.list_objects_v2(Bucket=table.bucket)["Contents"]}
    names = {"_started", "manifest-files.json", "manifest-files.checksum", "manifest-summary.json"}
    expected = {f"{export.folder}{name}" for name in names | {"manifest-summary.checksum"}}
    assert keys == expected | {file["dataFileS3Key"] for file in export.files}
    assert export.object(f"{export.folder}_started") == b""
    assert len(export.files) == 4
    assert all(file["dataFileS3Key"].startswith(f"{export.folder}data/") for file in export.files)
    assert all(file["dataFileS3Key"].endswith(".json.gz") for file in export.files)
    assert len(export.lines) == 200
    assert (
        sum(len(json.dumps(line["Item"], separators=(",", ":"))) for line in map(json.loads, export.lines))
        == (description["BilledSizeBytes"])
    )
    assert summary == {
        "version": "2020-06-30",
        "exportArn": description["ExportArn"],
        "startTime": _iso(description["StartTime"]),
        "endTime": _iso(description["EndTime"]),
        "tableArn": table.arn,
        "tableId": table.client.describe_table(TableName=table.name)["Table"]["TableId"],
        "exportTime": _iso(day(1)),
        "s3Bucket": table.bucket,
        "s3Prefix": "exports/logs/",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{export.folder}manifest-files.json",
        "billedSizeBytes": description["BilledSizeBytes"],
        "itemCount": 200,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }
    assert {name: description[name] for name in _ASKED} == {
        "ExportStatus": "COMPLETED", "TableArn": table.arn, "S3Bucket": table.bucket,
        "S3Prefix": "exports/logs/", "ExportFormat": "DYNAMODB_JSON", "ExportType": "FULL_EXPORT",
        "ClientToken": f"token-{table.name}",
        "ExportTime": day(1), "ExportManifest": f"{export.folder}manifest-summary.json",
    }  # fmt: skip


_ASKED = (
    "ExportStatus", "TableArn", "S3Bucket", "S3Prefix", "ExportFormat", "ExportType", "ClientToken",
    "ExportTime", "ExportManifest",
)  # fmt: skip


def test_items_are_in_no_meaningful_order(table: Table) -> None:
    table.load(*({"Item": item(f"{number:03}")} for number in range(100)))
    export = table.export()
    for file in export.files:
        keys = [
            json.loads(line)["Item"]["id"]["S"]
            for line in gzip.decompress(export.object(file["dataFileS3Key"])).splitlines()
        ]
        assert len(keys) > 10
        assert keys != sorted(keys)


def test_an_empty_table_has_empty_files(table: Table) -> None:
    export = table.export()
    assert [file["itemCount"] for file in export.files] == [0, 0, 0, 0]
    assert export.items == []
    assert export.description["ItemCount"] == export.description["BilledSizeBytes"] == 0


_EVERY_TYPE: Item = {
    "id": {"S": 'äöü 漢字 \U0001f600 " \\ \u2028 \x7f /'},
    "empty": {"S": ""},
    "number": {"N": "-12345678901234567890.123456789012345678"},
    "tiny": {"N": "0." + "0" * 129 + "1"},
    "bytes": {"B": "AP8QAA=="},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "null": {"NULL": True},
    "strings": {"SS": ["b", "a", "é"]},
    "numbers": {"NS": ["1", "2.5", "-3"]},
    "blobs": {"BS": ["AQ==", "Ag=="]},
    "list": {"L": [{"S": "x"}, {"N": "1"}, {"L": []}, {"M": {}}, {"B": "/w=="}]},
    "map": {"M": {"a.b": {"M": {"deep": {"L": [{"BS": ["AP8="]}, {"NULL": True}]}}}, "": {"S": "no name"}}},
}


@pytest.mark.parametrize("how", ["loaded", "put", "updated", "batch", "transaction"])
def test_every_type_comes_out_as_it_went_in(table: Table, how: str) -> None:
    wire = _EVERY_TYPE
    if how == "loaded":
        table.load({"Item": wire})
    elif how == "put":
        _call(table, "PutItem", {"TableName": table.name, "Item": wire})
    elif how == "batch":
        _call(table, "BatchWriteItem", {"RequestItems": {table.name: [{"PutRequest": {"Item": wire}}]}})
    elif how == "transaction":
        _call(
            table, "TransactWriteItems", {"TransactItems": [{"Put": {"TableName": table.name, "Item": wire}}]}
        )
    else:
        names = [name for name in wire if name != "id"]
        _call(table, "UpdateItem", {
            "TableName": table.name, "Key": {"id": wire["id"]},
            "UpdateExpression": "SET " + ", ".join(f"#n{n} = :v{n}" for n in range(len(names))),
            "ExpressionAttributeNames": {f"#n{number}": name for number, name in enumerate(names)},
            "ExpressionAttributeValues": {f":v{number}": wire[name] for number, name in enumerate(names)},
        })  # fmt: skip
    assert _same(table.export().items[0], wire)
    assert _same(_call(table, "GetItem", {"TableName": table.name, "Key": {"id": wire["id"]}})["Item"], wire)
    assert _same(_call(table, "Scan", {"TableName": table.name})["Items"][0], wire)


def _same(one: Any, other: Any) -> bool:
    """Equal; sets in any order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            sorted(one[name]) == sorted(other[name])
            if name in ("SS", "NS", "BS")
            else _same(one[name], other[name])
            for name in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _call(table: Table, action: str, body: dict[str, Any]) -> dict[str, Any]:
    """The API as it is on the wire: boto3 would hide how binary values and text are written."""
    answer = requests.post(
        table.endpoint,
        data=json.dumps(body).encode(),
        headers={
            "X-Amz-Target": f"DynamoDB_20120810.{action}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
        timeout=60,
    )
    assert answer.ok, answer.text
    return answer.json()


# Errors.


def _refused(table: Table, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        table.start_export(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_without_point_in_time_recovery_nothing_is_exported(aws: str, unique: str) -> None:
    table = Table(aws, f"exports-{unique}", recovery=False).create()
    assert _refused(table)[0] == "PointInTimeRecoveryUnavailableException"


def test_an_unknown_table_is_told(table: Table) -> None:
    assert _refused(table, TableArn=table.arn + "-gone")[0] == "TableNotFoundException"


def test_the_window_ends_now_and_starts_35_days_back(table: Table) -> None:
    now = datetime.now(UTC)
    assert _refused(table, ExportTime=now + timedelta(seconds=30))[0] == "InvalidExportTimeException"
    assert _refused(table, ExportTime=now - timedelta(days=35, seconds=5))[0] == "InvalidExportTimeException"
    assert table.as_of(now - timedelta(days=35) + timedelta(seconds=30)) == []


def test_the_window_is_as_long_as_the_recovery_period(table: Table) -> None:
    table.client.update_continuous_backups(
        TableName=table.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 2},
    )
    assert _refused(table, ExportTime=day(4))[0] == "InvalidExportTimeException"
    assert table.as_of(day(1)) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ExportFormat": "ION"}, "ION"),
        ({"ExportType": "INCREMENTAL_EXPORT"}, "INCREMENTAL_EXPORT"),
        (
            {"IncrementalExportSpecification": {"ExportViewType": "NEW_IMAGE"}},
            "IncrementalExportSpecification",
        ),
    ],
)
def test_what_is_not_supported_is_named(table: Table, arguments: dict[str, Any], named: str) -> None:
    code, message = _refused(table, **arguments)
    assert code == "ValidationException"
    assert named in message
    assert "not supported" in message


def test_a_missing_bucket_fails_the_export(table: Table) -> None:
    failed = table.ended(table.start_export(S3Bucket=f"{table.bucket}-gone")["ExportArn"])
    assert failed["ExportStatus"] == "FAILED"
    assert failed["FailureCode"] == "S3NoSuchBucket"
    assert failed["FailureMessage"] == "The specified bucket does not exist"
    assert "ExportManifest" not in failed


def test_another_accounts_bucket_fails_the_export(table: Table) -> None:
    failed = table.ended(table.start_export(S3BucketOwner="999999999999")["ExportArn"])
    assert (failed["ExportStatus"], failed["FailureCode"]) == ("FAILED", "S3AccessDenied")
    assert table.export(S3BucketOwner="123456789012").description["S3BucketOwner"] == "123456789012"


def test_exports_that_take_long_do_not_hold_up_others(aws: str, table: Table) -> None:
    def exports_take(seconds: float) -> None:
        answer = requests.post(
            f"{aws}/_local/dynamodb/settings", json={"export_seconds": seconds}, timeout=60
        )
        assert answer.ok, answer.text

    exports_take(3600)
    try:
        slow = [table.start_export()["ExportArn"] for _ in range(4)]
    finally:
        exports_take(0)
    assert table.export().items == []
    states = {
        table.client.describe_export(ExportArn=arn)["ExportDescription"]["ExportStatus"] for arn in slow
    }
    assert states == {"IN_PROGRESS"}


def test_an_unknown_export_is_told(table: Table) -> None:
    with pytest.raises(table.client.exceptions.ExportNotFoundException):
        table.client.describe_export(ExportArn=f"{table.arn}/export/01693685827463-2d8752fd")


# Client tokens.


def test_one_token_is_one_export_however_often_it_is_sent(table: Table) -> None:
    def start(_: int) -> str:
        return table.start_export(ClientToken="again", ExportTime=day(1))["ExportArn"]

    with ThreadPoolExecutor(12) as pool:
        arns = set(pool.map(start, range(12)))
    assert len(arns) == 1
    table.ended(arns.pop())
    listed = table.client.list_exports(TableArn=table.arn)["ExportSummaries"]
    assert [export["ExportStatus"] for export in listed] == ["COMPLETED"]


def test_a_token_with_other_parameters_is_a_conflict(table: Table) -> None:
    table.export(ClientToken=f"once-{table.name}", ExportTime=day(1))
    code, _ = _refused(table, ClientToken=f"once-{table.name}", ExportTime=day(2))
    assert code == "ExportConflictException"
    assert _refused(table, ClientToken=f"once-{table.name}", ExportTime=day(1), S3Prefix="x")[0] == code


def test_without_a_token_every_call_is_an_export(table: Table) -> None:
    assert table.start_export()["ExportArn"] != table.start_export()["ExportArn"]


# Listing.


def test_exports_are_listed_newest_first_in_pages(table: Table) -> None:
    arns = [table.export().description["ExportArn"] for _ in range(3)]
    first = table.client.list_exports(TableArn=table.arn, MaxResults=2)
    second = table.client.list_exports(TableArn=table.arn, MaxResults=2, NextToken=first["NextToken"])
    listed = [export["ExportArn"] for page in (first, second) for export in page["ExportSummaries"]]
    assert listed == sorted(arns, reverse=True)
    assert "NextToken" not in second
    assert {export["ExportType"] for export in first["ExportSummaries"]} == {"FULL_EXPORT"}
    assert table.client.list_exports(MaxResults=1)["NextToken"]


# Histories, against a dictionary.

_KEYS = st.sampled_from("abc")
_CHANGES = st.lists(
    st.tuples(_KEYS, st.integers(0, 6), st.one_of(st.none(), st.text(max_size=3))), min_size=1, max_size=12
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=_CHANGES,
    live=st.lists(st.tuples(_KEYS, st.booleans()), max_size=3),
    instants=st.sets(st.integers(-1, 7), max_size=3),
)
def test_any_history_is_what_a_dictionary_says(
    aws: str, changes: list[tuple[str, int, str | None]], live: list[tuple[str, bool]], instants: set[int]
) -> None:
    table = Table(aws, f"history-{uuid.uuid4().hex}").create()
    start = day(9)
    moments = {number: start + timedelta(hours=6 * number) for number in range(-1, 8)}
    model: dict[str, dict[datetime, Item | None]] = {}
    for key, when, value in changes:
        written = None if value is None else {"id": {"S": key}, "value": {"S": value}}
        model.setdefault(key, {})[moments[when]] = written
        line = {"Item": written} if written else {"Delete": {"id": {"S": key}}}
        table.load({**line, "WriteTime": moments[when].isoformat()})
    for number, (key, put) in enumerate(live):
        moment = datetime.now(UTC) + timedelta(seconds=number)
        if put:
            table.client.put_item(TableName=table.name, Item=item(key, f"live {number}"))
        else:
            table.client.delete_item(TableName=table.name, Key={"id": {"S": key}})
        model.setdefault(key, {})[moment] = item(key, f"live {number}") if put else None

    def expected(instant: datetime) -> list[Item]:
        states = (
            history[max(past)]
            for _, history in sorted(model.items())
            if (past := [t for t in history if t <= instant])
        )
        return [state for state in states if state is not None]

    for instant in instants:
        assert table.as_of(moments[instant]) == expected(moments[instant])
    now = expected(datetime.now(UTC) + timedelta(hours=1))
    assert table.export().items == now
    assert table.items() == now
    assert table.client.describe_table(TableName=table.name)["Table"]["ItemCount"] == len(now)
    for key in "abc":
        found = table.client.get_item(TableName=table.name, Key={"id": {"S": key}}).get("Item")
        assert found == next((state for state in now if state["id"]["S"] == key), None)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
