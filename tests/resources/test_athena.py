"""One statement: its rows with their types, its failure with its name, its end when nobody waits any more."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

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
