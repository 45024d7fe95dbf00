"""What crawlers make of folders and files: tables, columns, partitions, and what changes with the data."""

import gzip
import io
import json
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_aws.glue.formats import SAMPLE
from local_aws.glue.globs import GlobError, compile_glob
from local_aws.glue.schema import Shape, parse
from tests.local_aws.lake import EXCLUSIONS, Lake, columns, keys

COMBINE: dict[str, Any] = {"Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
NEW_FOLDERS: dict[str, Any] = {
    "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"},
    "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
}


@pytest.fixture
def lake(aws: str, unique: str) -> Lake:
    return Lake(unique)


def export(lake: Lake, day: str, *items: Any, export_id: str = "01-abc", files: int = 2) -> None:
    """An export as DynamoDB lays it down, one of its files empty."""
    place = f"exports/Privacy_Logs/snapshot_date={day}/AWSDynamoDB/{export_id}"
    lake.put(f"{place}/_started", "")
    records = [{"Item": item} for item in items]
    for number in range(files):
        lake.put_lines(f"{place}/data/f{number}.json.gz", *records[number::files])
    lake.put_lines(f"{place}/data/empty.json.gz")
    for manifest in ("manifest-files.json", "manifest-summary.json"):
        lake.put(f"{place}/{manifest}", "{}")
        lake.put(f"{place}/{manifest}.checksum", "x")


# --- exports of DynamoDB ------------------------------------------------------------------------------------


def test_an_export_becomes_a_table_with_partitions(lake: Lake) -> None:
    export(lake, "2026-01-01", *({"log_id": {"S": str(n)}, "Age": {"N": "7"}} for n in range(10)))
    export(lake, "2026-01-02", {"log_id": {"S": "x"}, "t": {"SS": ["a"]}, "m": {"M": {"K": {"NULL": True}}}})
    tables = lake.crawled("exports/Privacy_Logs/", exclusions=EXCLUSIONS, TablePrefix="raw_")
    assert list(tables) == ["raw_privacy_logs"]
    table = tables["raw_privacy_logs"]
    assert columns(table) == {
        "item": "struct<log_id:struct<s:string>,age:struct<n:string>,t:struct<ss:array<string>>,"
        "m:struct<m:struct<k:struct<null:boolean>>>>"
    }
    assert keys(table) == [
        (key, "string") for key in ("snapshot_date", "partition_1", "partition_2", "partition_3")
    ]
    storage = table["StorageDescriptor"]
    assert storage["SerdeInfo"] == {
        "SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe",
        "Parameters": {"paths": "Item"},
    }
    assert storage["InputFormat"] == "org.apache.hadoop.mapred.TextInputFormat"
    assert storage["OutputFormat"] == "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
    assert storage["Location"] == f"s3://{lake.bucket}/exports/Privacy_Logs/"
    described = table["Parameters"]
    assert described["UPDATED_BY_CRAWLER"] == f"crawler-{lake.name}"
    assert {name: described[name] for name in ("classification", "compressionType", "typeOfData")} == {
        "classification": "json", "compressionType": "gzip", "typeOfData": "file",
    }  # fmt: skip
    assert (described["recordCount"], described["objectCount"]) == ("11", "6")
    partitions = lake.partitions("raw_privacy_logs")
    first = partitions["2026-01-01", "AWSDynamoDB", "01-abc", "data"]
    place = "exports/Privacy_Logs/snapshot_date=2026-01-01/AWSDynamoDB/01-abc/data/"
    assert set(partitions) == {("2026-01-01", *first["Values"][1:]), ("2026-01-02", *first["Values"][1:])}
    assert first["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/{place}"
    assert first["Parameters"]["recordCount"] == "10"
    listed = lake.s3.list_objects_v2(Bucket=lake.bucket, Prefix=place)["Contents"]
    assert first["Parameters"]["sizeKey"] == str(sum(entry["Size"] for entry in listed))


def test_an_export_without_items_adds_its_partition_all_the_same(lake: Lake) -> None:
    name = lake.crawler("exports/Privacy_Logs/", exclusions=EXCLUSIONS)
    export(lake, "2026-01-01")
    assert lake.recrawl(name) == {}
    export(lake, "2026-01-02", {"id": {"S": "x"}})
    assert lake.recrawl(name) == {"TABLE ADD": 1, "PARTITION ADD": 2}
    export(lake, "2026-01-03")
    assert lake.recrawl(name)["PARTITION ADD"] == 1
    assert lake.columns("privacy_logs") == {"item": "struct<id:struct<s:string>>"}


def test_only_new_folders_are_read_when_only_they_are_wanted(lake: Lake) -> None:
    name = lake.crawler("exports/Privacy_Logs/", exclusions=EXCLUSIONS, **NEW_FOLDERS)
    export(lake, "2026-01-01", {"id": {"S": "x"}})
    assert lake.recrawl(name) == {"TABLE ADD": 1, "PARTITION ADD": 1}
    export(lake, "2026-01-01", {"id": {"S": "x"}}, {"id": {"S": "y"}})
    export(lake, "2026-01-02", {"id": {"S": "x"}, "new": {"S": "y"}})
    assert lake.recrawl(name) == {"PARTITION ADD": 1}
    partitions = lake.partitions("privacy_logs")
    assert partitions["2026-01-01", "AWSDynamoDB", "01-abc", "data"]["Parameters"]["recordCount"] == "1"
    assert lake.columns("privacy_logs") == {"item": "struct<id:struct<s:string>>"}
    seen = ["2026-01-01", "AWSDynamoDB", "01-abc", "data"]
    lake.glue.delete_partition(DatabaseName=lake.database, TableName="privacy_logs", PartitionValues=seen)
    assert lake.recrawl(name) == {}


def test_an_incremental_crawl_adds_no_table_and_no_unlike_folder(lake: Lake) -> None:
    name = lake.crawler("logs", **NEW_FOLDERS)
    lake.put_lines("logs/day=1/a.json", {"a": 1, "b": 2})
    lake.recrawl(name)
    lake.put_lines("logs/day=2/a.json", {"x": 1, "y": 2})
    lake.put_lines("logs/day=3/deeper/a.json", {"a": 1, "b": 2})
    lake.put_lines("logs/day=4/a.json.gz", {"a": 1, "b": 2})
    lake.put_lines("logs/day=5/a.json", {"a": 1, "b": 2})
    assert lake.recrawl(name) == {"PARTITION ADD": 1}
    assert set(lake.partitions("logs")) == {("1",), ("5",)}
    log = "\n".join(lake.log(name))
    for day, reason in ((2, "not like"), (3, "as deep"), (4, "another format")):
        assert any(f"day={day}/" in line and reason in line for line in log.splitlines())


# --- tables and partitions ----------------------------------------------------------------------------------


def test_like_folders_are_one_table_and_unlike_ones_several(lake: Lake) -> None:
    """The example of the Developer Guide, "Creating a single schema for each Amazon S3 include path"."""
    lake.put_lines("table1/year=2017/data1.json", {"A": 1, "B": 2})
    lake.put_lines("table1/year=2018/data2.json", {"C": 3, "D": 4})
    assert set(lake.crawled("table1/")) == {"year_2017", "year_2018"}
    combined = lake.crawled("table1/", name=f"combined-{lake.name}", Configuration=COMBINE, TablePrefix="c_")
    assert columns(combined["c_table1"]) == {"a": "int", "b": "int", "c": "int", "d": "int"}
    assert keys(combined["c_table1"]) == [("year", "string")]


def test_folders_without_names_are_numbered(lake: Lake) -> None:
    """The example of "How does a crawler determine when to create partitions?"."""
    for path in ("table1/partition1", "table1/partition2", "table2/partition4"):
        lake.put_lines(f"folder1/{path}/file.json", {"a": 1})
    tables = lake.crawled("folder1/")
    assert keys(tables["folder1"]) == [("partition_0", "string"), ("partition_1", "string")]
    assert ("table2", "partition4") in lake.partitions("folder1")


def test_the_table_level_says_where_tables_are(lake: Lake) -> None:
    for path in ("a/day=1", "a/day=2", "b/day=1"):
        lake.put_lines(f"root/{path}/file.json", {path[0]: 1})
    tables = lake.crawled("root/", Configuration={"Grouping": {"TableLevelConfiguration": 3}})
    assert set(tables) == {"a", "b"}
    assert keys(tables["a"]) == [("day", "string")]
    assert len(lake.partitions("a")) == 2


def test_names_are_folded_and_collisions_told_apart(lake: Lake) -> None:
    for folder in ("x/My-Logs 2024", "y/My-Logs 2024"):
        lake.put_lines(f"{folder}/a.json", {"a": 1})
    name = lake.crawler("x/My-Logs 2024", "y/My-Logs 2024", TablePrefix="Raw_")
    assert lake.recrawl(name) == {"TABLE ADD": 2}
    first, second = sorted(lake.tables())
    assert first == "raw_my_logs_2024"
    assert second.startswith("raw_my_logs_2024_")
    assert len(second) == len(first) + 33
    assert lake.recrawl(name) == {}


def test_files_of_several_formats_in_a_folder_are_tables_of_their_own(lake: Lake) -> None:
    lake.put_lines("mixed/a.json", {"a": 1})
    lake.put("mixed/b.csv", "id,name\n1,x\n2,y\n")
    tables = lake.crawled("mixed/")
    assert set(tables) == {"a_json", "b_csv"}
    assert tables["a_json"]["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/mixed/a.json"


def test_a_whole_bucket_is_a_table_named_after_it(lake: Lake) -> None:
    lake.put_lines("day=1/a.json", {"a": 1})
    assert list(lake.crawled("")) == [f"lake_{lake.name}"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.csv", "a.csv", "x/a.csv"),
        ("**.csv", "x/y/a.csv", "a.json"),
        ("**/_started", "d/e/_started", "_started"),
        ("logs-?.json", "logs-1.json", "logs-12.json"),
        ("[ab]*/x", "bc/x", "c/x"),
        ("[!a]/x", "b/x", "a/x"),
        ("[a-c]1", "b1", "d1"),
        ("{2023,2024}/**", "2024/a/b", "2025/a"),
        ("a\\*b", "a*b", "axb"),
        ("a.b", "a.b", "axb"),
    ],
)
def test_exclusions_match_as_glues(pattern: str, matching: str, other: str) -> None:
    assert compile_glob(pattern).fullmatch(matching)
    assert not compile_glob(pattern).fullmatch(other)


@pytest.mark.parametrize("pattern", ["[a", "{a,b"])
def test_an_exclusion_that_cannot_be_read_is_an_error(pattern: str) -> None:
    with pytest.raises(GlobError):
        compile_glob(pattern)


def test_exclusions_are_relative_to_their_target(lake: Lake) -> None:
    lake.put_lines("t/a.json", {"a": 1})
    lake.put_lines("t/sub/b.json", {"b": 1})
    assert list(lake.crawled("t", exclusions=["sub/**"])) == ["t"]


# --- formats ------------------------------------------------------------------------------------------------


def test_json_types(lake: Lake) -> None:
    lake.put_lines(
        "types/a.json",
        {
            "i": 1,
            "l": 2**40,
            "d": 1.5,
            "s": "x",
            "b": True,
            "n": None,
            "e": {},
            "a": [],
            "Nested": {"X": [1]},
        },
        {"i": 2, "mixed": 1, "wide": 1},
        {"i": 3, "mixed": "x", "wide": 2.5},
    )
    assert columns(lake.crawled("types")["types"]) == {
        "i": "int", "l": "bigint", "d": "double", "s": "string", "b": "boolean", "n": "string", "e": "string",
        "a": "array<string>", "nested": "struct<x:array<int>>", "mixed": "string", "wide": "double",
    }  # fmt: skip


def test_json_documents_and_arrays(lake: Lake) -> None:
    lake.put("docs/a.json", json.dumps({"a": 1, "b": {"c": "x"}}, indent=2))
    lake.put("arrays/a.json", json.dumps([{"a": 1}, {"a": 2, "b": "x"}]))
    tables = lake.crawled("docs", "arrays")
    assert columns(tables["docs"]) == {"a": "int", "b": "struct<c:string>"}
    assert columns(tables["arrays"]) == {"array": "array<struct<a:int,b:string>>"}


@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";"])
def test_csv_with_header(lake: Lake, delimiter: str) -> None:
    rows = [["Id", "Price", "Name", "Empty"], ["1", "2.5", "x", ""], ["2", "3", "y", ""]]
    lake.put("csv/a.csv", "".join(delimiter.join(row) + "\n" for row in rows))
    table = lake.crawled("csv")["csv"]
    assert columns(table) == {"id": "bigint", "price": "double", "name": "string", "empty": "string"}
    described = table["Parameters"]
    assert (described["classification"], described["delimiter"]) == ("csv", delimiter)
    assert (described["skip.header.line.count"], described["recordCount"]) == ("1", "2")
    assert table["StorageDescriptor"]["SerdeInfo"] == {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        "Parameters": {"field.delim": delimiter},
    }


def test_csv_of_text_alone_has_no_header_to_be_told(lake: Lake) -> None:
    lake.put("csv/a.csv", "id,name\na,b\nc,d\n")
    table = lake.crawled("csv")["csv"]
    assert columns(table) == {"col0": "string", "col1": "string"}
    assert "skip.header.line.count" not in table["Parameters"]


def test_parquet_takes_its_schema_from_the_footer(lake: Lake) -> None:
    schema = pa.schema(
        [
            ("Id", pa.int32()), ("n", pa.int64()), ("f", pa.float32()), ("d", pa.decimal128(10, 2)),
            ("t", pa.timestamp("ms")), ("day", pa.date32()), ("b", pa.binary()), ("l", pa.list_(pa.string())),
            ("m", pa.map_(pa.string(), pa.int64())), ("s", pa.struct([("A", pa.bool_())])),
        ]
    )  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    lake.put("columnar/day=1/a.parquet", buffer.getvalue())
    table = lake.crawled("columnar")["columnar"]
    assert columns(table) == {
        "id": "int", "n": "bigint", "f": "float", "d": "decimal(10,2)", "t": "timestamp", "day": "date",
        "b": "binary", "l": "array<string>", "m": "map<string,bigint>", "s": "struct<a:boolean>",
    }  # fmt: skip
    assert table["Parameters"]["classification"] == "parquet"
    storage = table["StorageDescriptor"]
    assert storage["InputFormat"] == "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    assert storage["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\x00\xff", b"just some words\n", b'{"a": 1}\n{broken\n']
)
def test_what_nobody_knows_is_unknown(lake: Lake, content: bytes) -> None:
    lake.put("odd/a", content)
    table = lake.crawled("odd")["odd"]
    assert table["Parameters"]["classification"] == "UNKNOWN"
    assert columns(table) == {}


def test_only_the_beginning_is_read_and_the_rest_estimated(lake: Lake) -> None:
    record = {"text": "x" * 990, "n": 0}
    count = 4 * SAMPLE // 1000
    lines = [json.dumps({**record, "n": n, **({"late": 1} if n == count - 1 else {})}) for n in range(count)]
    body = "\n".join(lines) + "\n"
    lake.put("big/a.json", body)
    lake.put("packed/a.json.gz", gzip.compress(body.encode(), 1))
    tables = lake.crawled("big", "packed")
    for name in ("big", "packed"):
        assert columns(tables[name]) == {"text": "string", "n": "int"}
        described = tables[name]["Parameters"]
        assert abs(int(described["recordCount"]) - count) < 0.1 * count
        assert 990 < int(described["averageRecordSize"]) < 1050


def test_a_record_larger_than_the_sample_is_read_on(lake: Lake) -> None:
    lake.put("long/a.json", json.dumps({"text": "x" * (2 * SAMPLE), "n": 1}))
    assert columns(lake.crawled("long")["long"]) == {"text": "string", "n": "int"}


def test_sample_size_reads_so_many_files_of_a_folder(lake: Lake) -> None:
    for number in range(4):
        lake.put_lines(f"many/{number}.json", {"a": 1}, {"a": 2, f"f{number}": 1})
    table = lake.crawled("many", sample_size=1, Configuration=COMBINE)["many"]
    assert columns(table) == {"a": "int", "f0": "int"}
    assert (table["Parameters"]["objectCount"], table["Parameters"]["recordCount"]) == ("4", "8")


# --- what changes -------------------------------------------------------------------------------------------


def test_new_files_new_attributes_and_wider_types(lake: Lake) -> None:
    name = lake.crawler("logs", Configuration=COMBINE)
    lake.put_lines("logs/day=1/a.json", {"id": 1, "s": {"x": 1}, "v": 1})
    lake.recrawl(name)
    lake.put_lines("logs/day=2/a.json", {"id": 2**40, "s": {"y": "n"}, "v": "text", "new": True})
    assert lake.recrawl(name) == {"TABLE UPDATE": 1, "PARTITION ADD": 1}
    assert lake.columns("logs") == {
        "id": "bigint", "s": "struct<x:int,y:string>", "v": "string", "new": "boolean",
    }  # fmt: skip
    assert columns(lake.partitions("logs")["1",]) == {"id": "int", "s": "struct<x:int>", "v": "int"}


def test_partitions_inherit_from_the_table_when_they_shall(lake: Lake) -> None:
    inherit = {**COMBINE, "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}}}
    name = lake.crawler("logs", Configuration=inherit)
    lake.put_lines("logs/day=1/a.json", {"a": 1})
    lake.recrawl(name)
    lake.put_lines("logs/day=2/a.json", {"b": 1})
    assert lake.recrawl(name) == {"TABLE UPDATE": 1, "PARTITION ADD": 1, "PARTITION UPDATE": 1}
    assert all(columns(entry) == {"a": "int", "b": "int"} for entry in lake.partitions("logs").values())


def test_the_order_of_attributes_is_no_change(lake: Lake) -> None:
    name = lake.crawler("logs")
    lake.put_lines("logs/a.json", {"a": 1, "s": {"x": 1, "y": 1}})
    lake.recrawl(name)
    lake.put_lines("logs/a.json", {"s": {"y": 1, "x": 1}, "a": 1})
    assert lake.recrawl(name) == {}


def test_what_is_gone_is_removed_deprecated_or_logged(lake: Lake) -> None:
    policies = ("DELETE_FROM_DATABASE", "DEPRECATE_IN_DATABASE", "LOG")
    names = {policy: f"{policy}-{lake.name}" for policy in policies}
    for policy in policies:
        lake.put_lines(f"{policy}/gone/day=1/a.json", {"a": 1})
        lake.put_lines(f"{policy}/kept/day=1/a.json", {"x": 1, "y": 2})
        lake.put_lines(f"{policy}/kept/day=2/a.json", {"x": 1, "y": 2})
        lake.crawler(
            policy,
            name=names[policy],
            TablePrefix=f"{policy[:3]}_",
            SchemaChangePolicy={"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": policy},
            Configuration={"Grouping": {"TableLevelConfiguration": 3}},
        )
        assert lake.recrawl(names[policy]) == {"TABLE ADD": 2, "PARTITION ADD": 3}
        lake.delete(f"{policy}/gone/day=1/a.json")
        lake.delete(f"{policy}/kept/day=2/a.json")
        lake.crawl(names[policy])
    tables = lake.tables()
    assert set(tables) == {"del_kept", "dep_kept", "dep_gone", "log_kept", "log_gone"}
    assert "DEPRECATED_BY_CRAWLER" in tables["dep_gone"]["Parameters"]
    assert "DEPRECATED_BY_CRAWLER" not in tables["log_gone"]["Parameters"]
    assert [len(lake.partitions(f"{policy[:3]}_kept".lower())) for policy in policies] == [1, 2, 2]


def test_changes_are_only_logged_when_they_shall(lake: Lake) -> None:
    name = lake.crawler("logs", SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"})
    lake.put_lines("logs/day=1/a.json", {"a": 1})
    lake.recrawl(name)
    lake.put_lines("logs/day=1/a.json", {"a": 1, "b": 1})
    lake.put_lines("logs/day=2/a.json", {"a": 1, "b": 1})
    assert lake.recrawl(name) == {"PARTITION ADD": 1}
    assert lake.columns("logs") == {"a": "int"}
    assert any("columns changed (b)" in line for line in lake.log(name))


def test_columns_are_removed_unless_only_new_ones_are_merged(lake: Lake) -> None:
    merge = {"CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}}}
    names = [
        lake.crawler("logs", name=f"all-{lake.name}", TablePrefix="all_"),
        lake.crawler("logs", name=f"new-{lake.name}", TablePrefix="new_", Configuration=merge),
    ]
    lake.put_lines("logs/a.json", {"a": 1, "b": 1})
    for name in names:
        lake.crawl(name)
    lake.put_lines("logs/a.json", {"a": "text", "c": 1})
    for name in names:
        lake.crawl(name)
    assert lake.columns("all_logs") == {"a": "string", "c": "int"}
    assert lake.columns("new_logs") == {"a": "int", "b": "int", "c": "int"}


def test_merging_keeps_what_a_person_wrote_and_deprecates_another_format(lake: Lake) -> None:
    merge = {"CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}}}
    name = lake.crawler("logs", Configuration=merge)
    lake.put_lines("logs/a.json", {"a": 1})
    lake.crawl(name)
    table = lake.tables()["logs"]
    written = {key: table[key] for key in ("Name", "StorageDescriptor", "PartitionKeys", "TableType")}
    parameters = {**table["Parameters"], "owner": "me"}
    lake.glue.update_table(
        DatabaseName=lake.database, TableInput={**written, "Description": "mine", "Parameters": parameters}
    )
    lake.put_lines("logs/a.json", {"a": 1, "b": 1})
    lake.crawl(name)
    table = lake.tables()["logs"]
    assert (table["Description"], table["Parameters"]["owner"]) == ("mine", "me")
    assert columns(table) == {"a": "int", "b": "int"}
    lake.put("logs/a.json", "id,name\n1,x\n2,y\n")
    lake.crawl(name)
    assert "DEPRECATED_BY_CRAWLER" in lake.tables()["logs"]["Parameters"]
    assert lake.columns("logs") == {"a": "int", "b": "int"}


def test_other_partition_keys_make_the_table_anew(lake: Lake) -> None:
    name = lake.crawler("logs")
    lake.put_lines("logs/day=1/a.json", {"a": 1})
    lake.recrawl(name)
    lake.delete("logs/day=1/a.json")
    lake.put_lines("logs/year=2026/day=1/a.json", {"a": 1})
    assert lake.recrawl(name) == {"TABLE UPDATE": 1, "PARTITION ADD": 1}
    assert keys(lake.tables()["logs"]) == [("year", "string"), ("day", "string")]


# --- types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "int", "decimal(10,2)", "map<string,array<int>>", "array<struct<a:int,b:map<string,int>>>",
        "struct<a:struct<b:decimal(3,1),c:array<array<string>>>,d:timestamp>",
    ],
)  # fmt: skip
def test_a_hive_type_is_read_as_it_is_written(text: str) -> None:
    assert parse(text).type == text


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2**31], "bigint"),
        ([1, 1.5], "double"),
        ([True, 1], "string"),
        ([{"a": 1}, 1], "string"),
        ([[1], {"a": 1}], "string"),
        ([[1], [1.5]], "array<double>"),
        ([None, 1], "int"),
        ([None], "string"),
        ([{"A": 1}, {"a": 2.5}], "struct<a:double>"),
        ([{"a b": 1, "c:d": 1}], "struct<a_b:int,c_d:int>"),
        ([2**70], "double"),
    ],
)
def test_values_that_differ_find_a_common_type(values: list[Any], kind: str) -> None:
    shape = Shape()
    shape.observe(values)
    assert shape.type == kind


# --- speed --------------------------------------------------------------------------------------------------


def test_a_crawl_takes_no_longer_for_large_files(lake: Lake) -> None:
    """Eight files of 1.5 MB packed, 12 MB unpacked each: all of it would take minutes."""
    item = {name: {"S": f"value of {name}"} for name in "abcdefghijklmno"}
    body = gzip.compress(
        "".join(json.dumps({"Item": item | {"id": {"S": str(n)}}}) + "\n" for n in range(20_000)).encode()
    )
    for number in range(8):
        lake.put(f"exports/t/day=1/{number}.json.gz", body + gzip.compress(b"\n" * (number + 1)))
    name = lake.crawler("exports/t")
    started = time.monotonic()
    lake.recrawl(name)
    assert time.monotonic() - started < 10
    count = int(lake.tables()["t"]["Parameters"]["recordCount"])
    assert abs(count - 160_000) < 16_000
