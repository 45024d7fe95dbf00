"""One statement: its rows with their types, its failure with its name, its end when nobody waits any more."""

import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from resources.athena import AthenaQueryFailed, AthenaResource
from tests.house import House


@pytest.fixture
def athena(aws: str, unique: str, tmp_path: Path) -> AthenaResource:
    return House.build(aws, unique, tmp_path).athena


def rows(athena: AthenaResource, sql: str, *parameters: str) -> list[dict[str, Any]]:
    return list(athena.fetch(athena.execute(sql, parameters)).to_pylist())


def test_rows_come_with_their_types(athena: AthenaResource) -> None:
    sql = """SELECT 'a' AS s, BIGINT '9223372036854775807' AS i, 1.5e0 AS d,
        CAST('1.50' AS DECIMAL(3, 2)) AS n,
        true AS b, DATE '2026-01-31' AS day, TIMESTAMP '2026-01-31 10:00:00.123' AS t, ARRAY['x', 'y'] AS l"""
    (row,) = rows(athena, sql)
    assert row == {
        "s": "a",
        "i": 9223372036854775807,
        "d": 1.5,
        "n": Decimal("1.50"),
        "b": True,
        "day": date(2026, 1, 31),
        "t": datetime.fromisoformat("2026-01-31T10:00:00.123"),
        "l": "[x, y]",
    }


def test_null_and_the_empty_string_stay_apart(athena: AthenaResource) -> None:
    found = rows(athena, "SELECT * FROM (VALUES ('', 1), (NULL, NULL), ('\"', 2), ('a\nb', 3)) AS t (s, n)")
    assert [(row["s"], row["n"]) for row in found] == [("", 1), (None, None), ('"', 2), ("a\nb", 3)]


def test_no_rows_still_have_columns(athena: AthenaResource) -> None:
    table = athena.fetch(athena.execute("SELECT 1 AS n, 'a' AS s WHERE false"))
    assert (table.num_rows, table.column_names) == (0, ["n", "s"])


def test_results_that_athena_manages_come_with_their_types(athena: AthenaResource, unique: str) -> None:
    boto3.client("athena").create_work_group(
        Name=f"managed-{unique}",
        Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}},
    )
    managed = AthenaResource(workgroup=f"managed-{unique}", database=athena.database)
    sql = """SELECT * FROM (VALUES (1, 'a', 1.50, 2e0, true, TIMESTAMP '2026-01-31 10:00:00.123'),
        (NULL, '', NULL, nan(), NULL, NULL)) AS t (n, s, d, x, b, t) ORDER BY n"""
    first, second = rows(managed, sql)
    assert first == {
        "n": 1,
        "s": "a",
        "d": Decimal("1.50"),
        "x": 2.0,
        "b": True,
        "t": datetime.fromisoformat("2026-01-31T10:00:00.123"),
    }
    assert math.isnan(second.pop("x"))
    assert second == {"n": None, "s": "", "d": None, "b": None, "t": None}
    assert rows(managed, "SELECT 1 AS n WHERE false") == []


def test_show_and_describe_have_all_their_rows(athena: AthenaResource, unique: str) -> None:
    athena.execute(
        f"CREATE EXTERNAL TABLE shown_{unique} (a string COMMENT 'first', b int) PARTITIONED BY (p string) "
        f"LOCATION 's3://lake-{unique}/shown/'"
    )
    for value in ("1", "2"):
        athena.execute(f"ALTER TABLE shown_{unique} ADD PARTITION (p = '{value}')")
    assert rows(athena, f"SHOW PARTITIONS shown_{unique}") == [{"partition": "p=1"}, {"partition": "p=2"}]
    assert rows(athena, f"SHOW COLUMNS IN shown_{unique}") == [{"field": name} for name in ("a", "b", "p")]
    assert rows(athena, "SHOW TABLES 'nosuch*'") == []
    assert rows(athena, f"DESCRIBE shown_{unique}")[:2] == [
        {"col_name": "a", "data_type": "string", "comment": "first"},
        {"col_name": "b", "data_type": "int", "comment": ""},
    ]
    created = [row["createtab_stmt"] for row in rows(athena, f"SHOW CREATE TABLE shown_{unique}")]
    assert created[0].startswith("CREATE EXTERNAL TABLE")
    assert created[-1].endswith("/shown/'")
    assert len(rows(athena, "EXPLAIN SELECT 1")) > 1


def test_statements_without_rows_answer_none(athena: AthenaResource, unique: str) -> None:
    unload = f"UNLOAD (SELECT 1 AS n) TO 's3://lake-{unique}/unloaded/' WITH (format = 'PARQUET')"
    for sql in (f"CREATE DATABASE other_{unique}", unload):
        assert rows(athena, sql) == []


def test_parameters_are_literals_in_their_places(athena: AthenaResource) -> None:
    assert rows(athena, "SELECT ? AS a, ? AS b", "DATE '2026-01-31'", "'it''s'") == [
        {"a": date(2026, 1, 31), "b": "it's"}
    ]


def test_a_failure_has_its_name_and_reason(athena: AthenaResource) -> None:
    with pytest.raises(AthenaQueryFailed) as raised:
        athena.execute("SELECT CAST('jane.doe@example.com' AS BIGINT)")
    assert raised.value.name == "INVALID_CAST_ARGUMENT"
    assert "jane.doe@example.com" in raised.value.reason
    with pytest.raises(AthenaQueryFailed, match=r"COLUMN_NOT_FOUND: line 1:8") as raised:
        athena.execute("SELECT nothing")
    assert raised.value.name == "COLUMN_NOT_FOUND"


def test_what_is_no_sql_is_refused(athena: AthenaResource) -> None:
    with pytest.raises(AthenaQueryFailed) as raised:
        athena.execute("SELEC 1")
    assert raised.value.reason


def test_a_query_is_stopped_when_its_deadline_passes(athena: AthenaResource) -> None:
    hurried = AthenaResource(workgroup=athena.workgroup, database=athena.database, deadline_seconds=0.001)
    numbers = "UNNEST(sequence(1, 10000))"
    endless = f"SELECT count(*) FROM {numbers} AS a (n), {numbers} AS b (m) WHERE (n * m) % 7 = 3"
    with pytest.raises(AthenaQueryFailed, match=r"stopped, Athena query .*: not within 0.001 s") as raised:
        hurried.execute(endless)
    status = athena._client.get_query_execution(QueryExecutionId=raised.value.query_id)
    assert status["QueryExecution"]["Status"]["State"] in ("CANCELLED", "RUNNING", "QUEUED")


def test_the_cost_is_estimated_with_its_minimum(athena: AthenaResource) -> None:
    result = athena.execute("SELECT 1")
    assert result.bytes_scanned == 0
    assert result.dollars == pytest.approx(10 / 1024**2 * 5)
