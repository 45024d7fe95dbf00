"""Plain PyAthena, cursor by cursor."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow.fs
import pytest
from pyathena import connect
from pyathena.arrow.cursor import ArrowCursor
from pyathena.async_cursor import AsyncCursor
from pyathena.connection import Connection
from pyathena.cursor import Cursor, DictCursor
from pyathena.error import OperationalError
from pyathena.pandas.cursor import PandasCursor

from tests.local_aws.athena.client import Athena

SQL = """
SELECT * FROM (VALUES
  (1, 'a', CAST(1.50 AS decimal(10,2)), DATE '2020-01-02', TIMESTAMP '2020-01-02 03:04:05.678', true, 1.5e0),
  (2, NULL, NULL, NULL, NULL, NULL, NULL)
) t(n, s, d, day, at, yes, x) ORDER BY n
"""
FIRST = (1, "a", Decimal("1.50"), date(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5, 678000), True, 1.5)  # noqa: DTZ001


@pytest.fixture
def connection(shared: Athena) -> Iterator[Connection[Any]]:
    with connect(s3_staging_dir=f"s3://{shared.bucket}/py/", poll_interval=0.01) as found:
        yield found


@pytest.fixture
def arrow_finds_the_endpoint(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's own S3 client knows no variable for the endpoint, and PyAthena passes it none."""
    real = pyarrow.fs.S3FileSystem

    def local(**options: Any) -> Any:
        return real(**options, endpoint_override=aws)

    monkeypatch.setattr(pyarrow.fs, "S3FileSystem", local)


def test_cursor(connection: Connection[Any]) -> None:
    cursor = connection.cursor(Cursor)
    cursor.execute(SQL)
    assert [column[0] for column in cursor.description or []] == ["n", "s", "d", "day", "at", "yes", "x"]
    assert cursor.fetchall() == [FIRST, (2, *[None] * 6)]


def test_collections_and_zones_arrive_as_python_values(connection: Connection[Any]) -> None:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT ARRAY[1, NULL], MAP(ARRAY['k'], ARRAY['v']), X'6869', json_parse('{\"a\": [1]}'), "
        "TIMESTAMP '2020-01-01 00:00:00 UTC', CAST(ROW(1, 'z') AS ROW(a integer, b varchar))"
    )
    row = cursor.fetchone()
    assert row is not None
    assert row[:4] == ([1, None], {"k": "v"}, b"hi", {"a": [1]})
    assert row[4] == datetime(2020, 1, 1, tzinfo=UTC)
    assert row[5] == {"a": "1", "b": "z"}


def test_dict_cursor_over_several_pages(connection: Connection[Any]) -> None:
    cursor = connection.cursor(DictCursor)
    cursor.execute("SELECT x FROM UNNEST(sequence(1, 2100)) t(x) ORDER BY x")
    rows: Any = cursor.fetchall()
    assert [row["x"] for row in rows] == list(range(1, 2101))


def test_parameters(connection: Connection[Any]) -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT ?, ? + 1", ["'a'", "41"], paramstyle="qmark")
    assert cursor.fetchall() == [("a", 42)]
    cursor.execute("SELECT %(name)s", {"name": "it's"})
    assert cursor.fetchall() == [("it's",)]


@pytest.mark.parametrize("unload", [False, True])
def test_pandas_cursor(connection: Connection[Any], unload: bool) -> None:
    cursor: Any = connection.cursor(PandasCursor, unload=unload)
    frame = cursor.execute(SQL).as_pandas()
    assert list(frame["n"]) == [1, 2]
    assert frame["s"].isna().tolist() == [False, True]
    assert frame["at"][0].to_pydatetime() == FIRST[4]


@pytest.mark.parametrize("unload", [False, True])
def test_arrow_cursor(connection: Connection[Any], arrow_finds_the_endpoint: None, unload: bool) -> None:
    cursor: Any = connection.cursor(ArrowCursor, unload=unload)
    table = cursor.execute(SQL).as_arrow()
    assert table["n"].to_pylist() == [1, 2]
    assert table["s"].to_pylist()[0] == "a"
    assert table["at"].to_pylist()[0].replace(tzinfo=None) == FIRST[4]


def test_arrow_cursor_needs_no_endpoint_where_results_are_managed(shared: Athena, unique: str) -> None:
    configuration: Any = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
    shared.client.create_work_group(Name=f"g{unique}", Configuration=configuration)
    with connect(work_group=f"g{unique}", poll_interval=0.01) as connection:
        cursor: Any = connection.cursor(ArrowCursor)
        assert cursor.execute(SQL).as_arrow()["n"].to_pylist() == [1, 2]
        assert cursor.output_location is None


def test_async_cursor(connection: Connection[Any]) -> None:
    cursor: Any = connection.cursor(AsyncCursor)
    _, future = cursor.execute("SELECT 1")
    assert future.result().fetchall() == [(1,)]
    _, future = cursor.execute("SELECT nosuch")
    assert future.result().state == "FAILED"


def test_an_error_is_raised_with_athenas_reason(connection: Connection[Any]) -> None:
    with pytest.raises(
        OperationalError, match="FUNCTION_NOT_FOUND: line 1:8: Function 'nosuch' not registered"
    ):
        connection.cursor().execute("SELECT nosuch(1)")
