"""S3 Inventory in its three formats, as S3 writes it."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import orc
from pyarrow import parquet as pq

from privacy_assets.errors import UserError
from privacy_assets.scan.inventory import listing
from resources.buckets import BucketsResource
from tests.house import client

MODIFIED = datetime(2026, 1, 30, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"key": "a b/ü.txt", "size": 5, "etag": "e1", "storage": "STANDARD", "latest": True, "deleted": False},
    {"key": "old.txt", "size": 5, "etag": "e2", "storage": "STANDARD", "latest": False, "deleted": False},
    {"key": "gone.txt", "size": None, "etag": None, "storage": None, "latest": True, "deleted": True},
    {"key": "cold.txt", "size": 7, "etag": "e3", "storage": "GLACIER", "latest": True, "deleted": False},
]


@pytest.fixture
def lists(aws: str, unique: str) -> str:
    client("s3").create_bucket(Bucket=f"lists-{unique}")
    return f"lists-{unique}"


def written(bucket: str, kind: str, when: str, rows: list[dict[str, Any]]) -> None:
    folder = "inventory/data/daily/"
    if kind == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        for row in rows:
            key = row["key"].replace(" ", "+").replace("ü", "%C3%BC")
            writer.writerow(
                ["data", key, "v", str(row["latest"]).lower(), str(row["deleted"]).lower(), row["size"] or "",
                 "2026-01-30T12:00:00.000Z", row["etag"] or "", row["storage"] or ""]
            )  # fmt: skip
        body = gzip.compress(text.getvalue().encode())
        schema = (
            "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
        )
    else:
        table = pa.table(
            {
                "bucket": ["data"] * len(rows),
                "key": [row["key"] for row in rows],
                "is_latest": [row["latest"] for row in rows],
                "is_delete_marker": [row["deleted"] for row in rows],
                "size": pa.array([row["size"] for row in rows], pa.int64()),
                "last_modified_date": pa.array([MODIFIED] * len(rows), pa.timestamp("ms", "UTC")),
                "e_tag": pa.array([row["etag"] for row in rows], pa.string()),
                "storage_class": pa.array([row["storage"] for row in rows], pa.string()),
            }
        )
        out = io.BytesIO()
        pq.write_table(table, out) if kind == "Parquet" else orc.write_table(table, out)
        body, schema = out.getvalue(), "as the file says"
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key=f"{folder}data/{when}", Body=body)
    manifest = {
        "sourceBucket": "data", "destinationBucket": f"arn:aws:s3:::{bucket}", "version": "2016-11-30",
        "fileFormat": kind, "fileSchema": schema, "files": [{"key": f"{folder}data/{when}"}],
    }  # fmt: skip
    s3.put_object(Bucket=bucket, Key=f"{folder}{when}/manifest.json", Body=json.dumps(manifest))
    s3.put_object(Bucket=bucket, Key=f"{folder}{when}/manifest.checksum", Body=b"x")


@pytest.mark.parametrize("kind", ["CSV", "Parquet", "ORC"])
def test_the_newest_list_is_taken_with_current_objects_alone(lists: str, kind: str) -> None:
    written(lists, kind, "2026-01-29T01-00Z", ROWS[:1])
    written(lists, kind, "2026-01-30T01-00Z", ROWS)
    found = listing(BucketsResource(), f"s3://{lists}/inventory/data/daily").to_pylist()
    assert [(row["key"], row["size"], row["etag"], row["storage_class"]) for row in found] == [
        ("a b/ü.txt", 5, "e1", "STANDARD"),
        ("cold.txt", 7, "e3", "GLACIER"),
    ]
    assert {row["modified"] for row in found} == {MODIFIED}


def test_a_folder_without_a_list_is_named(lists: str) -> None:
    with pytest.raises(UserError, match=r"no manifest\.json in a dated folder"):
        listing(BucketsResource(), f"s3://{lists}/inventory/other")


def test_a_list_without_etags_says_what_to_add(lists: str) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"key": ["a"]}), out)
    client("s3").put_object(Bucket=lists, Key="i/data", Body=out.getvalue())
    manifest = {"fileFormat": "Parquet", "fileSchema": "…", "files": [{"key": "i/data"}]}
    client("s3").put_object(Bucket=lists, Key="i/2026-01-30T01-00Z/manifest.json", Body=json.dumps(manifest))
    with pytest.raises(UserError, match="has no size, etag, modified; add the fields"):
        listing(BucketsResource(), f"s3://{lists}/i/")
