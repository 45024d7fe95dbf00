"""``lake``: files of the catalog's tables, in all versions, without the subject; no other byte changes."""

import bz2
import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privacy_assets.dsar.stores.protocol import Blocked, Erased, Identifier, Link, Retained, Store, StoreError
from privacy_assets.dsar.stores.s3_prefix import LOCKED
from resources.files import Files
from tests.dsar.stores.conftest import JANE, NOBODY, REQUEST, Stores, is_erased

MAIL = "jane.doe@example.com"
MATCH = {"email": "email", "customer_id": "customer"}
COLUMNS = [("email", "string"), ("customer", "string"), ("note", "string"), ("hold", "string")]
SERDES = {
    "parquet": ("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe", {}),
    "json": ("org.openx.data.jsonserde.JsonSerDe", {}),
    "csv": ("org.apache.hadoop.hive.serde2.OpenCSVSerde", {"separatorChar": ";", "quoteChar": '"'}),
    "text": ("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", {"field.delim": "|"}),
}
HOLD = {"article": "GDPR Art. 17(3)(e)", "reason": "legal claims", "where": {"hold": "yes"}}
Row = tuple[str | None, str | None, str, str]
JANES: Row = (MAIL, "customer-4711", "hers", "no")
OTHERS: list[Row] = [
    ("max@example.com", "customer-0815", 'says "hi";\nand |bye', "no"),
    (None, None, "ünï", "yes"),
]


def body(form: str, rows: list[Row]) -> bytes:
    names = [name for name, _ in COLUMNS]
    if form == "parquet":
        file = io.BytesIO()
        pq.write_table(pa.table({name: [row[n] for row in rows] for n, name in enumerate(names)}), file)
        return file.getvalue()
    if form == "json":
        return b"".join(
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=row[0] is None).encode() + b"\n"
            for row in rows
        )
    if form == "csv":
        quoted = [";".join('"' + (cell or "").replace('"', '\\"') + '"' for cell in row) for row in rows]
        return "".join(f"{line}\r\n" for line in ['"email";"customer";"note";"hold"', *quoted]).encode()
    return "".join(
        "|".join((cell or "").replace("\n", " ").replace("|", " ") for cell in row) + "\n" for row in rows
    ).encode()


def table(kit: Stores, form: str, bucket: str, partitions: tuple[str, ...] = ()) -> str:
    name = f"t_{form}_{kit.unique}"
    library, parameters = SERDES[form]
    kit.glue.create_table(
        DatabaseName=kit.subjects.database,
        TableInput={
            "Name": name,
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in partitions],
            "Parameters": {"skip.header.line.count": "1"} if form == "csv" else {},
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": kind} for column, kind in COLUMNS],
                "Location": f"s3://{bucket}/data",
                "SerdeInfo": {"SerializationLibrary": library, "Parameters": parameters},
            },
        },
    )
    return name


def store(kit: Stores, name: str, **fields: Any) -> Store:
    return kit.store("lake", tables=[{"table": name, "match": MATCH, **fields}])


def test_a_subject_is_found_with_what_it_links_to(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    kit.put(bucket, "data/a.json", body("json", [*OTHERS, JANES]))
    kit.put(bucket, "data/_SUCCESS", b"")
    kit.put(bucket, "database/a.json", body("json", [JANES]))
    subject = store(kit, name, links={"customer_id": "customer"}, export={"note": "mask", "hold": "omit"})
    found = subject.find({"email": JANE["email"]})
    link = Link(
        Identifier("email", MAIL), Identifier("customer_id", "customer-4711"), f"store.{name}.customer"
    )
    assert (found.records, found.links) == (1, {link})
    assert subject.find(NOBODY).records == 0
    assert list(subject.export(JANE)) == [
        {"table": name, "email": MAIL, "customer": "customer-4711", "note": "••••"}
    ]


@pytest.mark.parametrize("compression", ["", "gz", "bz2"])
@pytest.mark.parametrize("form", ["parquet", "json", "csv", "text"])
def test_an_erasure_leaves_no_byte_in_any_version(kit: Stores, form: str, compression: str) -> None:
    if form == "parquet" and compression:
        pytest.skip("Parquet compresses its own pages")
    packed = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress}[compression]
    bucket = kit.bucket("data")
    name = table(kit, form, bucket)
    with_her, without = packed(body(form, [OTHERS[0], JANES, OTHERS[1]])), packed(body(form, OTHERS))
    metadata = {"Metadata": {"origin": "crm"}, "ContentType": "x/y", "Tagging": "team=crm"}
    kit.put(bucket, "data/old", with_her)
    kit.put(bucket, "data/old", without)
    kit.put(bucket, "data/gone", with_her)
    kit.s3.delete_object(Bucket=bucket, Key="data/gone")
    kit.put(bucket, "data/deep/current", with_her, **metadata)
    untouched = kit.put(bucket, "data/untouched", without)
    done = is_erased(store(kit, name), Erased(before=1, erased=1))
    assert done.touched == (f"s3://{bucket}/data/deep/current",)
    assert done.versions == 2
    left = kit.all_versions(bucket)
    assert len(left) == 4  # the rewritten, the older one's newer, the untouched, and a marker
    assert left["data/untouched", untouched] == without
    unpack = {"": bytes, "gz": gzip.decompress, "bz2": bz2.decompress}[compression]
    for version in filter(None, left.values()):
        assert MAIL.encode() not in unpack(version)
        if form == "parquet":
            assert pq.read_table(io.BytesIO(version)).column("email").to_pylist() == [
                row[0] for row in OTHERS
            ]
        else:
            assert unpack(version) == unpack(without)
    head = kit.s3.head_object(Bucket=bucket, Key="data/deep/current")
    assert (head["Metadata"], head["ContentType"]) == ({"origin": "crm"}, "x/y")
    tags = kit.s3.get_object_tagging(Bucket=bucket, Key="data/deep/current")["TagSet"]
    assert tags == [{"Key": "team", "Value": "crm"}]
    proof = store(kit, name).verify(JANE, done.touched)
    assert (proof.objects, proof.bytes, proof.mentions) == (1, head["ContentLength"], 0)


def test_ten_of_a_hundred_objects_are_touched(kit: Stores) -> None:
    bucket = kit.bucket("data", versioned=False)
    name = table(kit, "parquet", bucket)
    for number in range(100):
        rows = [JANES, *OTHERS] if number % 10 == 3 else OTHERS
        kit.put(bucket, f"data/{number:03}.parquet", body("parquet", rows))
    before = {item["Key"]: item["ETag"] for item in kit.s3.list_objects_v2(Bucket=bucket)["Contents"]}
    done = is_erased(store(kit, name), Erased(before=10, erased=10))
    after = {item["Key"]: item["ETag"] for item in kit.s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert len(done.touched) == 10
    assert sum(before[key] != after[key] for key in before) == 10


def test_partitions_say_whose_rows_they_are(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket, ("who",))
    elsewhere = kit.bucket("elsewhere")
    storage = {"Columns": [], "SerdeInfo": {}, "Location": f"s3://{elsewhere}/x/"}
    kit.glue.create_partition(
        DatabaseName=kit.subjects.database,
        TableName=name,
        PartitionInput={"Values": ["customer-4711"], "StorageDescriptor": storage},
    )
    kit.put(elsewhere, "x/a.json", body("json", OTHERS))
    kit.put(bucket, "data/who=customer-4711/a.json", body("json", OTHERS[:1]))
    kit.put(bucket, "data/who=customer-0815/a.json", body("json", OTHERS))
    subject = kit.store("lake", tables=[{"table": name, "match": {"customer_id": "who"}}])
    is_erased(subject, Erased(before=3, erased=3))
    assert kit.get(elsewhere, "x/a.json") == b""
    assert kit.get(bucket, "data/who=customer-0815/a.json") == body("json", OTHERS)


@pytest.mark.parametrize("form", ["parquet", "json", "csv"])
def test_what_is_held_stays_and_what_is_changed_is_changed(kit: Stores, form: str) -> None:
    bucket = kit.bucket("data")
    name = table(kit, form, bucket)
    held: Row = (MAIL, "customer-4711", "disputed", "yes")
    kit.put(bucket, "data/a", body(form, [JANES, OTHERS[0], held]))
    retained = Retained("GDPR Art. 17(3)(e)", "legal claims", 1)
    is_erased(
        store(kit, name, retain=[HOLD], change={"email": "redact", "customer": "hmac"}),
        Erased(before=2, changed=1, retained=(retained,)),
    )
    is_erased(store(kit, name, retain=[HOLD]), Erased(before=1, retained=(retained,)))
    text = kit.get(bucket, "data/a")
    if form == "parquet":
        assert pq.read_table(io.BytesIO(text)).column("email").to_pylist() == [
            "erased",
            "max@example.com",
            MAIL,
        ]
    else:
        pseudonym = kit.subjects.erasures.pseudonym("customer_id", "customer-4711").encode()
        assert (text.count(MAIL.encode()), text.count(b"erased"), text.count(pseudonym)) == (1, 1, 1)
    is_erased(store(kit, name), Erased(before=1, erased=1))


def test_what_somebody_writes_meanwhile_is_not_lost(kit: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    kit.put(bucket, "data/a.json", body("json", [JANES, OTHERS[0]]))
    replace, tried = Files.replace, list[str | None]()

    def late(self: Files, version: Any, content: BinaryIO) -> str | None:
        if not tried:
            kit.put(bucket, "data/a.json", body("json", [JANES, *OTHERS]))
        tried.append(replace(self, version, content))
        return tried[-1]

    monkeypatch.setattr(Files, "replace", late)
    is_erased(store(kit, name), Erased(before=1, erased=1))
    assert [new is not None for new in tried] == [False, True]
    assert list(kit.all_versions(bucket).values()) == [body("json", OTHERS)]


def test_killed_before_the_old_version_went(kit: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "parquet", bucket)
    kit.put(bucket, "data/a", body("parquet", [JANES, *OTHERS]))

    class Killed(BaseException):
        pass

    def killed(self: Files, version: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Files, "remove", killed)
        with pytest.raises(Killed):
            store(kit, name).erase(JANE, REQUEST)
    assert len(kit.all_versions(bucket)) == 2
    assert store(kit, name).verify(JANE).records == 1
    done = store(kit, name).erase(JANE, REQUEST)
    assert (done.before, done.versions, done.nothing_left) == (0, 1, False)
    assert len(kit.all_versions(bucket)) == 1
    assert store(kit, name).verify(JANE).clean


def test_what_object_lock_holds_is_blocked(kit: Stores) -> None:
    bucket = kit.bucket("locked", locked=True)
    name = table(kit, "json", bucket)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    kit.put(bucket, "data/a.json", body("json", [JANES, *OTHERS]), **lock)
    expected = Blocked(LOCKED, 1, until)
    done = store(kit, name).erase(JANE, REQUEST)
    assert (done.erased, done.blocked) == (1, (expected,))
    assert kit.get(bucket, "data/a.json") == body("json", OTHERS)
    head = kit.s3.head_object(Bucket=bucket, Key="data/a.json")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert store(kit, name).verify(JANE, done.touched).blocked == (expected,)
    assert store(kit, name).erase(JANE, REQUEST).blocked == (expected,)


def test_a_lock_that_has_run_out_is_not_copied(kit: Stores) -> None:
    """S3 takes no date that is past; a legal hold has none, and stays."""
    bucket = kit.bucket("locked", locked=True)
    name = table(kit, "json", bucket)
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": past}
    kit.put(bucket, "data/a.json", body("json", [JANES, *OTHERS]), **lock)
    kit.put(bucket, "data/b.json", body("json", [JANES]), **lock, ObjectLockLegalHoldStatus="ON")
    done = store(kit, name).erase(JANE, REQUEST)
    assert (done.erased, done.blocked) == (2, (Blocked(LOCKED, 1, None),))
    heads = [kit.s3.head_object(Bucket=bucket, Key=f"data/{key}.json") for key in "ab"]
    assert [head.get("ObjectLockMode") for head in heads] == [None, None]
    assert [head.get("ObjectLockLegalHoldStatus") for head in heads] == [None, "ON"]
    assert len([key for key, _ in kit.all_versions(bucket) if key == "data/a.json"]) == 1


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_version_from_before_versioning_goes(
    kit: Stores, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Its id is ``null``. While versioning is suspended the new version takes its place."""
    bucket = kit.bucket("data", versioned=False)
    name = table(kit, "json", bucket)
    for key in ("data/a.json", "data/overtaken.json"):
        kit.put(bucket, key, body("json", [JANES, *OTHERS]))
    for each in dict.fromkeys(("Enabled", status)):
        kit.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": each})
    replace, put = Files.replace, list[str]()

    def late(self: Files, version: Any, content: BinaryIO) -> str | None:
        if version.key == "data/overtaken.json" and not put:
            put.append(kit.put(bucket, version.key, body("json", OTHERS[:1])))
        return replace(self, version, content)

    monkeypatch.setattr(Files, "replace", late)
    done = store(kit, name).erase(JANE, REQUEST)
    assert (done.erased, put) != (0, [])
    left = kit.all_versions(bucket)
    assert sorted(key for key, _ in left) == ["data/a.json", "data/overtaken.json"]
    assert not any(MAIL.encode() in (found or b"") for found in left.values())
    assert store(kit, name).verify(JANE, done.touched).clean


def test_half_a_surrogate_pair_is_neither_lost_nor_in_the_way(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    half = rb'"\ud800 \\ \ud83c\udf88"'
    lines = [
        b'{"email":"%s","customer":"c\\udfff","note":%s}\n' % (MAIL.encode(), half),
        b'{"email":"max@example.com","note":%s}\n' % half,
        b'{"email":"\xed\xa0\x80","note":"not UTF-8"}\n',
    ]
    kit.put(bucket, "data/a.json", b"".join(lines))
    rules = {"links": {"customer_id": "customer"}, "change": {"email": "redact", "customer": "hmac"}}
    subject = store(kit, name, **rules)
    found = subject.find({"email": JANE["email"]})
    assert (found.records, found.links) == (1, frozenset())  # nobody can be asked for half a character
    (record,) = subject.export(JANE)
    assert record["note"] == json.loads(half)
    is_erased(subject, Erased(before=1, changed=1))
    first, *others = kit.get(bucket, "data/a.json").splitlines(keepends=True)
    assert others == lines[1:]
    assert first.decode()  # it is UTF-8, and a JSON reader gets what was there
    assert (json.loads(first)["email"], json.loads(first)["note"]) == ("erased", json.loads(half))


def test_what_is_wrong_with_a_file_is_told_by_bucket_and_etag(kit: Stores) -> None:
    """Its key may hold a personal value."""
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    kit.put(bucket, "data/jane.doe/a.json", b'{"email":"%s"' % MAIL.encode())
    etag = kit.s3.head_object(Bucket=bucket, Key="data/jane.doe/a.json")["ETag"].strip('"')
    for ask in (lambda: store(kit, name).find(JANE), lambda: store(kit, name).erase(JANE, REQUEST)):
        with pytest.raises(StoreError, match=rf"\(object in {bucket}, ETag {etag}\)$") as raised:
            ask()
        assert "jane" not in str(raised.value)


def test_a_file_that_can_not_be_read_keeps_no_other(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "parquet", bucket)
    kit.put(bucket, "data/jane.doe/a", b"PAR1 broken")
    kit.put(bucket, "data/b", body("parquet", [JANES, *OTHERS]))
    with pytest.raises(StoreError, match="1 files could not be read: no whole Parquet file") as raised:
        store(kit, name).erase(JANE, REQUEST)
    assert "jane" not in str(raised.value)
    assert pq.read_table(io.BytesIO(kit.get(bucket, "data/b"))).num_rows == 2


def test_a_mention_by_somebody_else_is_told(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    about: Row = ("max@example.com", "customer-0815", f"wrote to {MAIL}", "no")
    kit.put(bucket, "data/a.json", gzip.compress(body("json", [JANES, about])))
    done = store(kit, name).erase(JANE, REQUEST)
    left = store(kit, name).verify(JANE, done.touched)
    assert (left.records, left.mentions, left.clean) == (0, 1, False)


def test_json_is_read_whatever_way_it_is_written(kit: Stores) -> None:
    bucket = kit.bucket("data")
    name = table(kit, "json", bucket)
    lines = [
        b'{"email": "jane.doe\\u0040example.com"}\n',
        b'{"EMAIL":"jane.doe@example.com"}\r\n',
        b'  {"note":"not hers", "email" : "x"}\n',
        b"not JSON at all\n",
        b'{"customer": "customer-4711"}',
    ]
    kit.put(bucket, "data/a.json", b"".join(lines))
    is_erased(store(kit, name), Erased(before=3, erased=3))
    assert kit.get(bucket, "data/a.json") == b"".join(lines[2:4])


def test_iceberg_leaves_no_byte(kit: Stores) -> None:
    name = f"ice_{kit.unique}"
    iceberg = kit.subjects.iceberg()
    schema = pa.schema([(column, pa.string()) for column, _ in COLUMNS] + [("day", pa.string())])
    iceberg.ensure(name, schema, ["day"])

    def add(day: str, rows: list[Row]) -> None:
        records = [dict(zip(schema.names, (*row, day), strict=True)) for row in rows]
        iceberg.replace(
            name, {"day": [day]}, lambda: iter([pa.RecordBatch.from_pylist(records, schema=schema)])
        )

    add("1", [JANES, *OTHERS])
    add("1", [JANES, *OTHERS, (None, "customer-4711", "by number", "yes")])
    add("2", OTHERS)
    assert any(MAIL.encode() in (one or b"") for one in kit.all_versions(kit.subjects.lake_bucket).values())
    kept = Retained("GDPR Art. 17(3)(e)", "legal claims", 1)
    assert store(kit, name, export={"note": "omit"}).find(JANE).records == 2
    assert len(list(store(kit, name).export(JANE))) == 2
    is_erased(store(kit, name, retain=[HOLD]), Erased(before=2, erased=1, retained=(kept,)))
    is_erased(store(kit, name), Erased(before=1, erased=1))
    rows = sorted(str(row["note"]) for batch in iceberg.batches(name) for row in batch.to_pylist())
    assert rows == sorted([row[2] for row in OTHERS] * 2)
    for key, found in _texts(kit):
        assert MAIL.encode() not in found, key
        assert b"customer-4711" not in found, key


def test_iceberg_files_that_no_snapshot_names(kit: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that broke off leaves a file; a plain delete leaves a version."""
    name = f"ice_{kit.unique}"
    iceberg = kit.subjects.iceberg()
    schema = pa.schema([(column, pa.string()) for column, _ in COLUMNS])
    iceberg.ensure(name, schema, [])
    bucket, _, prefix = iceberg.location(name).partition("://")[2].partition("/")
    kit.put(bucket, f"{prefix}/data/deleted.parquet", body("parquet", [JANES]))
    kit.s3.delete_object(Bucket=bucket, Key=f"{prefix}/data/deleted.parquet")
    kit.put(bucket, f"{prefix}/data/broken.parquet", body("parquet", [JANES]))
    kit.put(bucket, f"{prefix}/data/others.parquet", body("parquet", OTHERS))
    done = store(kit, name).erase(JANE, REQUEST)
    assert (done.before, done.versions) == (0, 1)
    ((what, until),) = [(each.what, each.until) for each in done.blocked]
    assert what == "files of a commit that may be under way"
    assert until is not None
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
    assert not store(kit, name).verify(JANE).clean
    monkeypatch.setattr("privacy_assets.dsar.stores.iceberg_table.ORPHANS_REST", timedelta(0))
    is_erased(store(kit, name), Erased())
    left = [key for (key, _), found in kit.all_versions(bucket, prefix).items() if found is not None]
    assert [key for key in left if key.endswith(".parquet")] == [f"{prefix}/data/others.parquet"]


def _texts(kit: Stores) -> Iterator[tuple[str, bytes]]:
    """All bytes of the lake, Parquet and Avro decoded too."""
    import fastavro

    for (key, _), found in kit.all_versions(kit.subjects.lake_bucket).items():
        if found is None:
            continue
        yield key, found
        if key.endswith(".parquet"):
            yield key, repr(pq.read_table(io.BytesIO(found)).to_pylist()).encode()
        if key.endswith(".avro"):
            yield key, repr(list(fastavro.reader(io.BytesIO(found)))).encode()
