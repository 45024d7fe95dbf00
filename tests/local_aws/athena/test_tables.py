"""Tables of Glue over objects of S3: formats, partitions, what is read, DDL, UNLOAD, CTAS, views, Iceberg."""

import bz2
import gzip
import io
import json
import uuid
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.types import StringType

from tests.local_aws.athena.client import Athena

LINES = "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\001' STORED AS TEXTFILE"
OPENX = "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'"


def put(athena: Athena, key: str, body: bytes | str) -> int:
    data = body.encode() if isinstance(body, str) else body
    boto3.client("s3").put_object(Bucket=athena.bucket, Key=key, Body=data)
    return len(data)


def keys(athena: Athena, prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=athena.bucket, Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in found]


def get(athena: Athena, key: str) -> bytes:
    return bytes(boto3.client("s3").get_object(Bucket=athena.bucket, Key=key)["Body"].read())


def make(athena: Athena, definition: str, folder: str) -> None:
    athena.rows(f"CREATE EXTERNAL TABLE {definition} LOCATION 's3://{athena.bucket}/{folder}/'")


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


# -- formats ---------------------------------------------------------------------------------------


def test_raw_lines_are_whole_whatever_they_hold(athena: Athena) -> None:
    lines = ['{"a": "x,y\\tz"}', "", 'quote " and \\ backslash', "ünï", "\\N", " blanks "]
    put(athena, "t/a.gz", gzip.compress(("\n".join(lines) + "\n").encode()))
    make(athena, f"t (line string) {LINES}", "t")
    found = [line for (line,) in athena.rows("SELECT line FROM t")]
    assert sorted(found, key=repr) == sorted([None if line == "\\N" else line for line in lines], key=repr)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_text_may_be_compressed(athena: Athena, pack: Any) -> None:
    suffix = {gzip.compress: ".gz", bz2.compress: ".bz2"}.get(pack, "")
    size = put(athena, f"t/a.txt{suffix}", pack(b"one\ntwo\n"))
    make(athena, f"t (line string) {LINES}", "t")
    answer = athena.run("SELECT line FROM t ORDER BY 1")
    assert answer.rows == [("one",), ("two",)]
    assert answer.scanned == size


def test_hidden_and_empty_objects_are_no_data(athena: Athena) -> None:
    put(athena, "t/a", "yes\n")
    for key in ("t/_SUCCESS", "t/.hidden", "t/_tmp/x", "t/folder/", "t/empty"):
        put(athena, key, "" if key in ("t/folder/", "t/empty") else "no\n")
    put(athena, "t2/a", "no\n")
    make(athena, f"t (line string) {LINES}", "t")
    assert athena.rows("SELECT line FROM t") == [("yes",)]


def test_dynamodb_json_lines_read_by_path(athena: Athena) -> None:
    items = [
        {"id": {"S": f"i{n}"}, "n": {"N": str(n)}, "Mixed": {"S": "x"} if n % 2 else {"N": "5"}}
        for n in range(10)
    ]
    put(
        athena,
        "t/a.json.gz",
        gzip.compress("".join(json.dumps({"Item": item}) + "\n" for item in items).encode()),
    )
    make(athena, f"t (line string) {LINES}", "t")
    rows = athena.rows(
        """
        WITH exported AS (SELECT line AS l, CAST(json_extract(line, '$.Item') AS map(varchar, json)) AS
        item FROM t),
        typed AS (
            SELECT json_extract_scalar(l, '$.Item.id.S') AS id, l,
                TRY_CAST(json_extract_scalar(l, '$.Item.n.N') AS bigint) AS n,
                array_except(map_keys(item), ARRAY['id', 'n']) AS others
            FROM exported
        )
        SELECT id, n, others, json_format(json_extract(l, '$.Item.Mixed')) FROM typed WHERE n >= 8 ORDER BY n
        """
    )
    assert rows == [("i8", "8", "[Mixed]", '{"N":"5"}'), ("i9", "9", "[Mixed]", '{"S":"x"}')]


def test_json_names_match_without_case_at_every_depth(athena: Athena) -> None:
    rows = [
        {"Item": {"Id": {"S": "a"}, "TAGS": {"SS": ["x", "y"]}, "M": {"M": {"Inner": {"N": "1"}}}}, "num": 5},
        {"item": {"ID": {"s": "b"}, "ok": {"BOOL": True}}, "num": "6"},
        {"num": None},
    ]
    put(athena, "t/a.json", "\n".join(map(json.dumps, rows)))
    columns = (
        "item struct<id:struct<s:string>,tags:struct<ss:array<string>>,ok:struct<bool:boolean>,"
        "m:struct<m:struct<inner:struct<n:string>>>>, num int, absent string"
    )
    make(athena, f"t ({columns}) {OPENX}", "t")
    found = athena.rows("SELECT item.id.s, item.tags.ss, item.ok.bool, item.m.m.inner.n, num, absent FROM t")
    assert sorted(found, key=repr) == sorted(
        [("a", "[x, y]", None, "1", "5", None), ("b", None, "true", None, "6", None), (None,) * 6], key=repr
    )


def test_json_text_columns_take_any_value_and_maps_any_key(athena: Athena) -> None:
    put(athena, "t/a.json", '{"s": {"deep": [1]}, "m": {"k": 1, "K2": "x"}, "a": [{"b": 1}]}\n')
    make(athena, f"t (s string, m map<string,string>, a array<struct<b:int>>) {OPENX}", "t")
    assert athena.rows("SELECT s, m['k'], m['K2'], a[1].b FROM t") == [('{"deep":[1]}', "1", "x", "1")]


def test_json_that_is_none_fails_unless_it_may_be_ignored(athena: Athena) -> None:
    put(athena, "t/a.json", '{"n": 1}\nbroken\n')
    make(athena, f"t (n int) {OPENX}", "t")
    assert athena.fails("SELECT n FROM t").startswith("HIVE_")
    make(athena, f"u (n int) {OPENX} WITH SERDEPROPERTIES ('ignore.malformed.json'='true')", "t")
    assert sorted(athena.rows("SELECT n FROM u"), key=repr) == [("1",), (None,)]


def test_a_json_value_of_another_type_is_bad_data(athena: Athena) -> None:
    put(athena, "t/a.json", '{"n": "many"}\n')
    make(athena, f"t (n int) {OPENX}", "t")
    assert athena.fails("SELECT n FROM t").startswith("HIVE_BAD_DATA: Error parsing field value 'many'")


def test_delimited_text_by_position_with_nulls_and_headers(athena: Athena) -> None:
    put(athena, "t/a.csv", 'a|n|d|list\nx,"y|1|2020-01-02|p;q\n\\N|bad||\nshort\n')
    athena.rows(
        f"CREATE EXTERNAL TABLE t (a string, n int, d date, list array<string>) ROW FORMAT DELIMITED "
        f"FIELDS TERMINATED BY '|' COLLECTION ITEMS TERMINATED BY ';' LOCATION 's3://{athena.bucket}/t/' "
        "TBLPROPERTIES ('skip.header.line.count'='1')"
    )
    found = athena.rows("SELECT * FROM t")
    assert found == [
        ('x,"y', "1", "2020-01-02", "[p, q]"),
        (None, None, None, "[]"),
        ("short", None, None, None),
    ]


def test_csv_with_quotes(athena: Athena) -> None:
    put(athena, "t/a.csv", 'name,n\n"a, ""b""",1\n"two\nlines",\nplain,3\n')
    athena.rows(
        f"CREATE EXTERNAL TABLE t (name string, n int) "
        f"ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' "
        f"LOCATION 's3://{athena.bucket}/t/' TBLPROPERTIES ('skip.header.line.count'='1')"
    )
    assert athena.rows("SELECT name, n FROM t") == [('a, "b"', "1"), ("two\nlines", None), ("plain", "3")]


def test_parquet_reads_by_name_and_counts_the_columns_it_reads(athena: Athena) -> None:
    table = pa.table(
        {
            "ID": pa.array(range(1000), pa.int32()),
            "wide": [uuid.uuid4().hex * 4 for _ in range(1000)],
            "At": pa.array([datetime(2020, 1, 1, 0, 0, 0, 123500)] * 1000, pa.timestamp("us")),  # noqa: DTZ001
            "s": [{"A": 1, "b": "x"}] * 1000,
        }
    )
    put(athena, "t/a.parquet", parquet(table))
    put(athena, "t/b.parquet", parquet(pa.table({"id": pa.array([5000], pa.int64())})))
    make(
        athena,
        "t (id bigint, wide string, at timestamp, s struct<a:bigint,b:string,c:int>, missing int) "
        "STORED AS PARQUET",
        "t",
    )
    narrow = athena.run("SELECT max(id), count(missing) FROM t")
    assert narrow.rows == [("5000", "0")]
    everything = athena.run("SELECT * FROM t")
    assert 0 < narrow.scanned < everything.scanned / 5
    found = athena.rows("SELECT at, s, s.a + 1 FROM t WHERE id = 7")
    assert found == [("2020-01-01 00:00:00.124", "{a=1, b=x, c=null}", "2")]
    assert athena.rows("SELECT at, s FROM t WHERE id = 5000") == [(None, None)]


def test_the_path_of_a_row_can_be_asked_for(athena: Athena) -> None:
    put(athena, "t/a", "x\n")
    make(athena, f"t (line string) {LINES}", "t")
    assert athena.rows('SELECT "$path", line FROM t') == [(f"s3://{athena.bucket}/t/a", "x")]
    assert athena.run("SELECT * FROM t").names == ["line"]


def test_a_serde_that_is_not_known_fails_by_name(athena: Athena) -> None:
    put(athena, "t/a", "x\n")
    make(athena, "t (line string) ROW FORMAT SERDE 'com.example.Mine'", "t")
    assert (
        athena.fails("SELECT * FROM t")
        == "HIVE_UNSUPPORTED_FORMAT: the serde com.example.Mine is not supported"
    )


# -- partitions ------------------------------------------------------------------------------------


@pytest.fixture
def days(athena: Athena) -> Athena:
    """Three days of ten bytes each, in folders of any name."""
    athena.rows(f"CREATE EXTERNAL TABLE t (line string) PARTITIONED BY (day date, kind string) {LINES} "
                f"LOCATION 's3://{athena.bucket}/none/'")  # fmt: skip
    for n in (1, 2, 3):
        put(athena, f"data{n}/a", f"value-{n:03d}\n")
        athena.rows(
            f"ALTER TABLE t ADD PARTITION (day = '2026-01-0{n}', kind = 'k{n}') LOCATION 's3://{athena.bucket}/data{n}/'"
        )
    return athena


@pytest.mark.parametrize(
    ("condition", "read"),
    [
        ("true", 3),
        ("day = DATE '2026-01-02'", 1),
        ("day >= DATE '2026-01-02'", 2),
        ("kind IN ('k1', 'k3')", 2),
        ("day = DATE '2026-01-02' AND kind = 'k1'", 0),
        ("day = DATE '2026-01-02' OR kind = 'k1'", 2),
        ("date_trunc('month', day) = DATE '2026-01-01'", 3),
        ("length(line) > 0 AND day < DATE '2026-01-02'", 1),
        ("day = DATE '2026-01-02' OR line = 'value-001'", 3),
        ("day = (SELECT DATE '2026-01-02')", 3),
    ],
)
def test_only_the_partitions_that_a_condition_leaves_are_read(
    days: Athena, condition: str, read: int
) -> None:
    assert days.run(f"SELECT line FROM t WHERE {condition}").scanned == 10 * read


def test_partitions_are_chosen_through_subqueries_joins_and_parameters(days: Athena) -> None:
    one = "day = DATE '2026-01-02'"
    assert (
        days.run(
            "WITH a AS (SELECT line l, day d FROM t) SELECT l FROM a WHERE d = ?", ["DATE '2026-01-02'"]
        ).scanned
        == 10
    )
    assert (
        days.run(f"SELECT a.line FROM t a JOIN t b ON a.kind = b.kind AND a.{one} AND b.{one}").scanned == 20
    )
    left = days.run(f"SELECT b.line FROM t a LEFT JOIN t b ON a.kind = b.kind AND b.{one} ORDER BY a.day")
    assert left.rows == [(None,), ("value-002",), (None,)]
    assert left.scanned == 40
    anti = days.run(
        f"SELECT a.line FROM t a LEFT JOIN t b ON a.kind = b.kind AND b.{one} WHERE b.day IS NULL ORDER BY 1"
    )
    assert anti.rows == [("value-001",), ("value-003",)]
    late = days.run("SELECT * FROM (SELECT line, day FROM t LIMIT 3) WHERE day = DATE '2026-01-02'")
    assert late.scanned == 30


def test_partition_columns_come_last_and_have_their_types(days: Athena) -> None:
    answer = days.run("SELECT * FROM t WHERE kind = 'k2'")
    assert [(c["Name"], c["Type"]) for c in answer.columns] == [
        ("line", "varchar"),
        ("day", "date"),
        ("kind", "varchar"),
    ]
    assert answer.rows == [("value-002", "2026-01-02", "k2")]


def test_partitions_are_shown_moved_and_dropped(days: Athena) -> None:
    shown = [("day=2026-01-01/kind=k1",), ("day=2026-01-02/kind=k2",), ("day=2026-01-03/kind=k3",)]
    assert days.rows("SHOW PARTITIONS t") == shown
    days.rows(
        f"ALTER TABLE t PARTITION (day = '2026-01-01', kind = 'k1') SET LOCATION 's3://{days.bucket}/data3/'"
    )
    assert days.rows("SELECT line FROM t WHERE kind = 'k1'") == [("value-003",)]
    days.rows("ALTER TABLE t DROP PARTITION (day = '2026-01-01', kind = 'k1')")
    assert days.rows("SHOW PARTITIONS t") == shown[1:]
    spec = "(day = '2026-01-02', kind = 'k2')"
    assert "Partition already exists" in days.fails(f"ALTER TABLE t ADD PARTITION {spec}")
    days.rows(f"ALTER TABLE t ADD IF NOT EXISTS PARTITION {spec}")
    assert "Partition not found" in days.fails(
        "ALTER TABLE t DROP PARTITION (day = '2030-01-01', kind = 'x')"
    )


def test_repair_finds_folders_named_like_partitions(athena: Athena) -> None:
    for key in ("t/day=2026-01-01/a", "t/day=2026-01-02/a", "t/other/a"):
        put(athena, key, "x\n")
    make(athena, f"t (line string) PARTITIONED BY (day date) {LINES}", "t")
    assert athena.rows("SELECT count(*) FROM t") == [("0",)]
    athena.rows("MSCK REPAIR TABLE t")
    assert athena.rows("SELECT day, count(*) FROM t GROUP BY day ORDER BY 1") == [
        ("2026-01-01", "1"),
        ("2026-01-02", "1"),
    ]


def test_a_workgroups_scan_limit_cancels_the_query(days: Athena, unique: str) -> None:
    group = f"g{unique}"
    configuration: Any = {
        "ResultConfiguration": {"OutputLocation": f"s3://{days.bucket}/limited/"},
        "BytesScannedCutoffPerQuery": 10_000_000,
    }
    put(days, "data2/b", "x" * 9 + "\n" + ("y" * 9999 + "\n") * 1000)
    days.client.create_work_group(Name=group, Configuration=configuration)
    answer = days.run("SELECT * FROM t", WorkGroup=group)
    assert (answer.state, answer.reason) == (
        "CANCELLED",
        "Query cancelled! : Bytes scanned limit was exceeded",
    )
    assert days.run("SELECT * FROM t WHERE kind = 'k1'", WorkGroup=group).state == "SUCCEEDED"


# -- DDL -------------------------------------------------------------------------------------------


def test_databases_come_and_go(athena: Athena, unique: str) -> None:
    name = f"made{unique}"
    answer = athena.run(f"CREATE DATABASE IF NOT EXISTS {name} COMMENT 'it''s mine'")
    assert (answer.execution["StatementType"], answer.execution["SubstatementType"]) == (
        "DDL",
        "CREATE_DATABASE",
    )
    assert boto3.client("glue").get_database(Name=name)["Database"]["Description"] == "it's mine"
    assert (name,) in athena.rows("SHOW DATABASES")
    assert athena.rows(f"SHOW DATABASES LIKE '{name[:-1]}*'") == [(name,)]
    assert "already exists" in athena.fails(f"CREATE SCHEMA {name}")
    make(athena, f"{name}.t (line string)", "t")
    assert "is not empty" in athena.fails(f"DROP DATABASE {name}")
    athena.rows(f"DROP DATABASE {name} CASCADE")
    assert "does not exist" in athena.fails(f"DROP DATABASE {name}")
    athena.rows(f"DROP DATABASE IF EXISTS {name}")


def test_a_table_is_described_and_made_again_from_its_statement(athena: Athena) -> None:
    statement = (
        f"CREATE EXTERNAL TABLE `t` (`a` string COMMENT 'first', b decimal(10,2), "
        f"`c` struct<x:int,y:array<string>>) COMMENT 'mine' PARTITIONED BY (`day` date) "
        f"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' "
        f"WITH SERDEPROPERTIES ('ignore.malformed.json'='true') LOCATION 's3://{athena.bucket}/t/' "
        f"TBLPROPERTIES ('projection.enabled'='false')"
    )
    athena.rows(statement)
    answer = athena.run("DESCRIBE t")
    described = answer.rows
    assert answer.names == ["col_name", "data_type", "comment"]
    assert {len(row) for row in described} == {1}, "Athena answers one value a row, parted by tabs"
    assert [[part.strip() for part in (row[0] or "").split("\t")] for row in described[:4]] == [
        ["a", "string", "first"],
        ["b", "decimal(10,2)", ""],
        ["c", "struct<x:int,y:array<string>>", ""],
        ["day", "date", ""],
    ]
    assert [(name or "").strip() for (name,) in athena.rows("SHOW COLUMNS IN t")] == ["a", "b", "c", "day"]
    shown = "\n".join(line or "" for (line,) in athena.rows("SHOW CREATE TABLE t"))
    athena.rows("DROP TABLE t")
    assert "Table not found" in athena.fails("DESCRIBE t")
    athena.rows(shown)
    assert athena.rows("DESCRIBE t") == described
    assert athena.rows("SHOW TBLPROPERTIES t('projection.enabled')") == [("projection.enabled", "false")]
    assert "already exists" in athena.fails(statement)
    athena.rows(statement.replace("TABLE `t`", "TABLE IF NOT EXISTS `t`"))
    metadata = athena.client.get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName=athena.database, TableName="t"
    )
    assert metadata["TableMetadata"]["Columns"][0] == {"Name": "a", "Type": "string", "Comment": "first"}


def test_tables_are_listed(athena: Athena) -> None:
    make(athena, "one (line string)", "t")
    make(athena, "two (line string)", "t")
    assert athena.rows("SHOW TABLES") == [("one",), ("two",)]
    assert athena.rows(f"SHOW TABLES IN {athena.database} '*w*'") == [("two",)]
    athena.rows("DROP TABLE IF EXISTS nosuch")
    assert "Table not found" in athena.fails("DROP TABLE nosuch")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "CREATE EXTERNAL TABLE t (a strin) LOCATION 's3://b/x/'",
            "SYNTAX_ERROR: line 1:33: column a: unknown type 'strin'",
        ),
        ("CREATE EXTERNAL TABLE t (a string", "SYNTAX_ERROR: line 1:34: mismatched input '<EOF>'"),
        ("CREATE EXTERNAL TABLE t (a string)", "LOCATION is missing"),
        (
            "CREATE EXTERNAL TABLE t (a string) STORED AS AVRO LOCATION 's3://b/x/'",
            "NOT_SUPPORTED: STORED AS AVRO",
        ),
        ("ALTER TABLE nosuch ADD PARTITION (a = 1)", "Table not found"),
        ("CREATE EXTERNAL TABLE t (a string) LOCATION 'file:///x'", "not in S3"),
        ("SHOW FUNCTIONS", "NOT_SUPPORTED: SHOW FUNCTIONS"),
    ],
)
def test_ddl_that_is_wrong_says_where(athena: Athena, sql: str, reason: str) -> None:
    assert reason in athena.fails(sql)


def test_views(athena: Athena) -> None:
    put(athena, "t/a", "x\ny\n")
    make(athena, f"t (line string) {LINES}", "t")
    athena.rows("CREATE VIEW v AS SELECT line, length(line) AS n FROM t")
    assert athena.rows("SELECT v.line, n FROM v WHERE line = 'y'") == [("y", "1")]
    assert "already exists" in athena.fails("CREATE VIEW v AS SELECT 1 AS one")
    athena.rows("CREATE OR REPLACE VIEW v AS SELECT upper(line) AS line FROM t")
    other = Athena(athena.bucket, "default")
    assert other.rows(f"SELECT * FROM {athena.database}.v ORDER BY 1") == [("X",), ("Y",)]
    assert athena.rows("SHOW VIEWS") == [("v",)]
    athena.rows("DROP VIEW v")
    assert athena.fails("SELECT * FROM v").startswith("TABLE_NOT_FOUND")


# -- UNLOAD and CTAS -------------------------------------------------------------------------------

ROWS = """
SELECT n, CAST(n AS decimal(10,2)) AS d, 's' || CAST(n AS varchar) AS s,
    TIMESTAMP '2020-01-02 03:04:05.678' AS at, ARRAY[n, NULL] AS list, MAP(ARRAY['k'], ARRAY[n]) AS m,
    CAST(ROW(n, 'x') AS ROW(a integer, b varchar)) AS r,
    DATE '2020-01-02' AS day, n > 1 AS yes, CAST(NULL AS double) AS nothing
FROM (VALUES 1, 2) t(n)
"""


def test_unload_to_parquet_writes_what_athena_writes(athena: Athena) -> None:
    answer = athena.run(
        f"UNLOAD ({ROWS}) TO 's3://{athena.bucket}/out/' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )
    assert answer.state == "SUCCEEDED", answer.reason
    found = keys(athena, "out/")
    manifest = answer.execution["Statistics"]["DataManifestLocation"]
    query_id = answer.execution["QueryExecutionId"]
    assert manifest == f"s3://{athena.bucket}/results/{query_id}-manifest.csv"
    listed = get(athena, f"results/{query_id}-manifest.csv").decode().splitlines()
    assert listed == [f"s3://{athena.bucket}/{key}" for key in found]
    file = pq.ParquetFile(io.BytesIO(get(athena, found[0])))
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    physical = {
        file.schema.column(i).name: file.schema.column(i).physical_type for i in range(len(file.schema))
    }
    assert physical["at"] == "INT96"
    row = min(file.read().to_pylist(), key=lambda r: int(r["n"]))
    assert row["at"].isoformat() == "2020-01-02T03:04:05.678000"
    assert (row["list"], row["m"], row["r"]) == ([1, None], [("k", 1)], {"a": 1, "b": "x"})
    page = athena.client.get_query_results(QueryExecutionId=query_id)
    assert page["UpdateCount"] == 2


def test_unload_needs_an_empty_target(athena: Athena) -> None:
    put(athena, "out/already", "here")
    reason = athena.fails(f"UNLOAD (SELECT 1 AS n) TO 's3://{athena.bucket}/out/' WITH (format = 'PARQUET')")
    assert reason.startswith("HIVE_PATH_ALREADY_EXISTS: Target directory for table")
    assert "Athena will not delete data in your account." in reason
    assert keys(athena, "out/") == ["out/already"]


def test_unload_as_lines(athena: Athena) -> None:
    athena.rows(
        f"UNLOAD (SELECT 1 AS n, 'x' AS s, NULLIF(1, 1) AS nothing) TO 's3://{athena.bucket}/json/' "
        f"WITH (format = 'JSON', compression = 'NONE')"
    )
    assert get(athena, keys(athena, "json/")[0]) == b'{"n":1,"s":"x"}\n'
    athena.rows(
        f"UNLOAD (SELECT 1 AS n, 'x' AS s, NULLIF(1, 1) AS nothing) TO 's3://{athena.bucket}/text/' "
        f"WITH (format = 'TEXTFILE', field_delimiter = '|')"
    )
    (key,) = keys(athena, "text/")
    assert key.endswith(".gz")
    assert gzip.decompress(get(athena, key)) == b"1|x|\\N\n"


def test_unload_by_partition(athena: Athena) -> None:
    sql = "SELECT n, n % 2 AS odd FROM UNNEST(sequence(1, 4)) t(n)"
    athena.rows(
        f"UNLOAD ({sql}) TO 's3://{athena.bucket}/out/' WITH (format = 'PARQUET', partitioned_by = "
        f"ARRAY['odd'])"
    )
    folders = sorted(key.split("/")[1] for key in keys(athena, "out/"))
    assert folders == ["odd=0", "odd=1"]
    reason = athena.fails(
        f"UNLOAD (SELECT n AS p, n FROM ({sql})) TO 's3://{athena.bucket}/o2/' WITH (format = "
        f"'PARQUET', partitioned_by = ARRAY['p'])"
    )
    assert "Partition keys must be the last columns" in reason
    many = "SELECT n, n AS p FROM UNNEST(sequence(1, 101)) t(n)"
    reason = athena.fails(
        f"UNLOAD ({many}) TO 's3://{athena.bucket}/o3/' WITH (format = 'PARQUET', partitioned_by = "
        f"ARRAY['p'])"
    )
    assert reason.startswith("HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "UNLOAD (SELECT now() AS t) TO '{}' WITH (format = 'PARQUET')",
            "Unsupported Hive type: timestamp(3) with time zone",
        ),
        ("UNLOAD (SELECT 1 AS a, 2 AS a) TO '{}' WITH (format = 'PARQUET')", "DUPLICATE_COLUMN_NAME"),
        ("UNLOAD (SELECT 1 AS a) TO '{}' WITH (format = 'ORC')", "format ORC is not supported"),
        (
            "UNLOAD (SELECT 1 AS a) TO '{}' WITH (format = 'PARQUET', wrong = 1)",
            "UNLOAD has no property 'wrong'",
        ),
        (
            "UNLOAD (SELECT nosuch) TO '{}' WITH (format = 'PARQUET')",
            "COLUMN_NOT_FOUND: line 1:16: Column 'nosuch'",
        ),
        ("UNLOAD SELECT 1 TO '{}'", "SYNTAX_ERROR: line 1:8"),
    ],
)
def test_unload_that_is_wrong_says_why_and_writes_nothing(athena: Athena, sql: str, reason: str) -> None:
    assert reason in athena.fails(sql.format(f"s3://{athena.bucket}/out/"))
    assert keys(athena, "out/") == []


def test_an_unload_of_nothing_writes_no_file(athena: Athena) -> None:
    answer = athena.run(
        f"UNLOAD (SELECT 1 AS n WHERE false) TO 's3://{athena.bucket}/out/' WITH (format = 'PARQUET')"
    )
    assert answer.state == "SUCCEEDED"
    assert keys(athena, "out/") == []
    assert get(athena, f"results/{answer.execution['QueryExecutionId']}-manifest.csv") == b""


def test_a_table_from_a_query_is_read_back_the_same(athena: Athena) -> None:
    answer = athena.run(f"CREATE TABLE made AS {ROWS}")
    assert answer.state == "SUCCEEDED", answer.reason
    assert answer.execution["SubstatementType"] == "CREATE_TABLE_AS_SELECT"
    query_id = answer.execution["QueryExecutionId"]
    assert keys(athena, f"results/tables/{query_id}/")
    assert athena.rows("SELECT * FROM made ORDER BY n") == athena.rows(f"{ROWS} ORDER BY n")
    assert "already exists" in athena.fails("CREATE TABLE made AS SELECT 1 AS n")
    assert "Column name not specified" in athena.fails("CREATE TABLE other AS SELECT 1")


@pytest.mark.parametrize("form", ["PARQUET", "JSON", "TEXTFILE"])
def test_a_partitioned_table_from_a_query(athena: Athena, form: str) -> None:
    location = f"s3://{athena.bucket}/made/"
    athena.rows(
        f"CREATE TABLE made WITH (format = '{form}', external_location = '{location}', "
        "partitioned_by = ARRAY['k']) AS "
        "SELECT n, 'v' AS v, 'p=' || CAST(n % 2 AS varchar) AS k FROM UNNEST(sequence(1, 4)) t(n)"
    )
    assert athena.rows("SHOW PARTITIONS made") == [("k=p=0",), ("k=p=1",)]
    assert athena.rows("SELECT k, v, sum(n) FROM made GROUP BY k, v ORDER BY k") == [
        ("p=0", "v", "6"),
        ("p=1", "v", "4"),
    ]


def test_a_bucketed_table_is_not_supported(athena: Athena) -> None:
    reason = athena.fails("CREATE TABLE t WITH (bucketed_by = ARRAY['n'], bucket_count = 2) AS SELECT 1 AS n")
    assert reason == "NOT_SUPPORTED: CREATE TABLE AS with bucketed_by is not supported"


# -- Iceberg ---------------------------------------------------------------------------------------

SCHEMA = pa.schema(
    [
        ("audit_id", pa.string()),
        ("day", pa.date32()),
        ("n", pa.int64()),
        ("at", pa.timestamp("us")),
        ("zoned", pa.timestamp("us", tz="UTC")),
        ("tags", pa.list_(pa.string())),
    ]
)


def _rows(audit: str, day: date, count: int) -> pa.Table:
    rows = [
        {
            "audit_id": audit,
            "day": day,
            "n": n,
            "at": datetime(2026, 1, 1, 1, 2, 3, 123456),  # noqa: DTZ001
            "zoned": datetime(2026, 1, 1, tzinfo=UTC),
            "tags": ["x", None],
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def test_iceberg_tables_are_read_as_their_metadata_says(athena: Athena, aws: str) -> None:
    catalog = GlueCatalog(
        "local", **{"s3.endpoint": aws, "warehouse": f"s3://{athena.bucket}/ice", "s3.region": "us-east-1"}
    )
    table = catalog.create_table(f"{athena.database}.results", SCHEMA)
    assert athena.rows("SELECT count(*), max(n) FROM results") == [("0", None)]
    with table.update_spec() as spec:
        spec.add_identity("day")
        spec.add_identity("audit_id")
    for day in (1, 2):
        for audit in ("a", "b"):
            table.append(_rows(audit, date(2026, 1, day), day + 1))
    everything = athena.run("SELECT * FROM results WHERE n = 2 ORDER BY audit_id")
    assert everything.rows == [
        (
            audit,
            "2026-01-02",
            "2",
            "2026-01-01 01:02:03.123456",
            "2026-01-01 00:00:00.000000 UTC",
            "[x, null]",
        )
        for audit in ("a", "b")
    ]
    one = athena.run(
        "SELECT audit_id, n FROM results WHERE day = DATE '2026-01-02' AND audit_id = ? ORDER BY n", ["'a'"]
    )
    assert one.rows == [("a", "0"), ("a", "1"), ("a", "2")]
    whole = athena.run("SELECT audit_id, n FROM results")
    assert 0 < one.scanned < whole.scanned / 2
    with table.update_schema() as update:
        update.rename_column("n", "number")
        update.add_column("extra", StringType())
    assert athena.rows("SELECT number, extra FROM results WHERE number = 2") == [("2", None), ("2", None)]
    assert athena.fails("SELECT n FROM results").startswith("COLUMN_NOT_FOUND")
    table.delete("audit_id = 'b'")
    assert athena.rows("SELECT audit_id, count(*) FROM results GROUP BY 1") == [("a", "5")]
    assert athena.fails("INSERT INTO results VALUES (1)").startswith("NOT_SUPPORTED: INSERT INTO")
