"""One person in six places, found by an address alone, erased, and searched for in all bytes left."""

import gzip
import io
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import yaml

from privacy_assets.dsar.identity import resolve
from privacy_assets.dsar.stores.build import stores
from privacy_assets.dsar.stores.protocol import RequestId
from privacy_assets.estate import load_estate
from tests import postgres
from tests.archive.conftest import Archive
from tests.dsar.stores.conftest import Stores
from tests.house import House, event

MAIL, CUSTOMER, DEVICE = "jane.doe@example.com", "customer-4711", "device-9f8e7d"
REQUEST = RequestId("request-1")
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@pytest.fixture
def archive(aws: str, unique: str, tmp_path: Path) -> Archive:
    return Archive(House.build(aws, unique, tmp_path, archive=True))


def test_nothing_of_her_is_left(
    archive: Archive, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.running() as url:
        kit = Stores.of(archive.house, tmp_path)
        kit.unique = unique
        monkeypatch.setenv("CRM_URL", url)
        uploads = kit.bucket("uploads")
        _fill(kit, archive, url, uploads)
        path = tmp_path / "estate.yaml"
        written = yaml.safe_load(path.read_text())
        written["stores"] = _declared(archive.table, uploads)
        path.write_text(yaml.safe_dump(written))
        everywhere = stores(load_estate(path), kit.subjects, tmp_path)

        found = resolve({"email": [MAIL]}, everywhere)
        assert found.identifiers == {"email": {MAIL}, "customer_id": {CUSTOMER}, "device_id": {DEVICE}}
        assert {edge.store for edge in found.graph.edges} >= {"crm", "clicks"}
        held = _bytes(kit, url, uploads)
        assert {name for name, value in held if _hers(value)} >= {"postgres", "dynamodb", "lake", uploads}
        assert [len(list(store.export(found.identifiers))) for store in everywhere] == [1, 1, 1, 2, 1, 1]

        # The table goes before the archive, which takes in what is deleted there, and drops it.
        first = {store.name: store.erase(found.identifiers, REQUEST) for store in everywhere}
        assert {name: done.erased for name, done in first.items()} == {
            "crm": 1, "profiles": 1, "clicks": 1, "ice": 2, "uploads": 1, "archive": 1,
        }  # fmt: skip
        archive.flush()
        archive.drain()
        for store in everywhere:
            assert store.verify(found.identifiers, first[store.name].touched).clean, store.name
            assert store.erase(found.identifiers, REQUEST).nothing_left, store.name
            assert store.find(found.identifiers).records == 0

        left = _bytes(kit, url, uploads)
        assert [name for name, value in left if _hers(value)] == []
        # And everybody else is as before.
        assert any(b"max@example.com" in value for name, value in left if name == "postgres")
        assert sum(b"customer-0815" in value for name, value in left if name == "dynamodb") == 1
        assert sum(b"customer-0815" in value for name, value in left if name == "lake") >= 3


def _declared(table: str, uploads: str) -> list[dict[str, Any]]:
    owner = {"owner": "team:privacy"}
    return [
        {
            **owner, "name": "crm", "kind": "sql", "url": "CRM_URL",
            "tables": [{"table": "customers", "match": {"email": "email"}, "links": {"customer_id": "id"}}],
        },
        {
            **owner, "name": "profiles", "kind": "dynamodb", "table": table,
            "match": {"customer_id": "subject_id"},
        },
        {
            **owner, "name": "clicks", "kind": "lake",
            "tables": [
                {"table": "clicks", "match": {"customer_id": "customer"}, "links": {"device_id": "device"}}
            ],
        },
        {**owner, "name": "ice", "kind": "events", "table": "ice", "match": {"device_id": "device"}},
        {**owner, "name": "uploads", "kind": "s3_prefix", "bucket": uploads, "keys": "users/{customer_id}/"},
        {**owner, "name": "archive", "kind": "archive", "subject": "customer_id"},
    ]  # fmt: skip


def _fill(kit: Stores, archive: Archive, url: str, uploads: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (id text PRIMARY KEY, email text)")
        connection.exec_driver_sql(
            f"INSERT INTO customers VALUES ('{CUSTOMER}', '{MAIL}'), ('customer-0815', 'max@example.com')"
        )
    engine.dispose()
    archive.put_and_delete(event("gone", CUSTOMER, message={"S": MAIL}), event("other", "customer-0815"))
    archive.put(event("here", CUSTOMER, message={"S": DEVICE}), event("there", "customer-0815"))
    archive.flush()
    archive.drain()
    rows = {"customer": [CUSTOMER, "customer-0815"], "device": [DEVICE, "device-0"], "mail": [MAIL, "x"]}
    lake = kit.subjects.lake_bucket
    for body in (rows, {**rows, "mail": ["other", "y"]}):
        file = io.BytesIO()
        pq.write_table(pa.table(body), file)
        kit.put(lake, "clicks/a.parquet", file.getvalue())
    kit.glue.create_table(
        DatabaseName=kit.subjects.database,
        TableInput={
            "Name": "clicks",
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": "string"} for name in rows],
                "Location": f"s3://{lake}/clicks/",
                "SerdeInfo": {"SerializationLibrary": PARQUET},
            },
        },
    )
    schema = pa.schema([("device", pa.string()), ("who", pa.string())])
    iceberg = kit.subjects.iceberg()
    iceberg.ensure("ice", schema, [])
    records: list[dict[str, str]] = []
    for who in (MAIL, CUSTOMER):  # the second commit leaves the first one's files to an older snapshot
        records += [{"device": DEVICE, "who": who}, {"device": "device-0", "who": "customer-0815"}]
        batch = pa.RecordBatch.from_pylist(records, schema=schema)
        iceberg.replace("ice", {}, lambda batch=batch: iter([batch]))  # type: ignore[misc]
    for body in (MAIL.encode(), b"now without"):
        kit.put(uploads, f"users/{CUSTOMER}/letter.txt", body)
    kit.put(uploads, "users/customer-0815/letter.txt", b"his")


def _hers(value: bytes) -> bool:
    return any(each.encode() in value for each in (MAIL, CUSTOMER, DEVICE))


def _bytes(kit: Stores, url: str, uploads: str) -> list[tuple[str, bytes]]:
    """All bytes there are: a dump, every item, every version of every object, opened where it is packed."""
    found = [("postgres", postgres.dump(url))]
    pages = kit.dynamodb.get_paginator("list_tables").paginate()
    for name in (name for page in pages for name in page["TableNames"]):
        if kit.unique in name:
            found += [
                ("dynamodb", repr(item).encode()) for item in kit.dynamodb.scan(TableName=name)["Items"]
            ]
    buckets = {"lake": kit.subjects.lake_bucket, uploads: uploads, "archive": kit.subjects.archive_bucket}
    for name, bucket in buckets.items():
        for (key, _), body in kit.all_versions(bucket).items():
            found.append((name, key.encode()))
            if body is None:
                continue
            found.append((name, body))
            if body[:2] == b"\x1f\x8b":
                found.append((name, gzip.decompress(body)))
            elif key.endswith(".parquet"):
                found.append((name, repr(pq.read_table(io.BytesIO(body)).to_pylist()).encode()))
            elif key.endswith(".avro"):
                found.append((name, repr(list(fastavro.reader(io.BytesIO(body)))).encode()))
    return found
