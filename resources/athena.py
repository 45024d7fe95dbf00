"""Athena: run one statement, wait for it, fetch its rows."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import clients
from resources.backoff import Backoff, DeadlineExceeded

if TYPE_CHECKING:
    import pyarrow as pa

_DOLLARS_A_TERABYTE = 5.0  # https://aws.amazon.com/athena/pricing/, us-east-1; 10 MB at least a query
_LEAST_BYTES = 10 * 1024**2
_BATCH_BYTES = 4 << 20


class AthenaQueryFailed(Exception):  # noqa: N818  # it is the query that failed
    """A query ended FAILED or CANCELLED; ``reason`` is Athena's, ``name`` the error's name in it.

    A reason may quote a value of the data (a cast that failed does), so it is for the person who asked,
    not for a log.
    """

    def __init__(self, query_id: str, reason: str) -> None:
        super().__init__(f"Athena query {query_id}: {reason}")
        self.query_id = query_id
        self.reason = reason
        self.name = reason.split(":", 1)[0] if reason.split(":", 1)[0].isupper() else "FAILED"


@dataclass(frozen=True)
class QueryResult:
    """A query that succeeded.  ``output_location`` is the S3 URI of its result file, if it has one;
    ``statement_type`` is Athena's: DML, DDL or UTILITY.
    """

    query_id: str
    bytes_scanned: int
    output_location: str | None
    milliseconds: int
    statement_type: str = "DML"

    @property
    def dollars(self) -> float:
        """What Athena charges for it, estimated at 5 US dollars a terabyte and 10 MB at least."""
        return max(self.bytes_scanned, _LEAST_BYTES) / 1024**4 * _DOLLARS_A_TERABYTE


class AthenaResource(dg.ConfigurableResource[Any]):
    """One workgroup and database of Athena."""

    workgroup: str
    database: str
    deadline_seconds: float = 1800.0

    @property
    def _client(self) -> Any:
        return clients.client("athena")

    def execute(
        self, sql: str, parameters: Sequence[str] = (), *, output_location: str | None = None
    ) -> QueryResult:
        """Run a statement to its end.

        ``parameters`` are SQL literals (``DATE '2026-01-01'``) for the statement's question marks.
        Throttled calls are tried again.  A query is stopped when the deadline passes or the run is
        interrupted.  Raises AthenaQueryFailed.
        """
        request: dict[str, Any] = {
            "QueryString": sql,
            "WorkGroup": self.workgroup,
            "QueryExecutionContext": {"Database": self.database},
        }
        if parameters:
            request["ExecutionParameters"] = list(parameters)
        if output_location is not None:
            request["ResultConfiguration"] = {"OutputLocation": output_location}
        try:
            query_id = str(self._client.start_query_execution(**request)["QueryExecutionId"])
        except self._client.exceptions.InvalidRequestException as error:
            raise AthenaQueryFailed("(not started)", clients.error_message(error)) from None
        try:
            return Backoff(self.deadline_seconds, first=0.05, cap=5.0).until(
                lambda: self._ended(query_id), f"Athena query {query_id}"
            )
        except DeadlineExceeded as error:
            self._client.stop_query_execution(QueryExecutionId=query_id)
            raise AthenaQueryFailed(query_id, f"stopped, {error}") from None
        except AthenaQueryFailed:
            raise
        except BaseException:  # an interrupted run must not leave a query that goes on and costs
            self._client.stop_query_execution(QueryExecutionId=query_id)
            raise

    def _ended(self, query_id: str) -> QueryResult | None:
        execution = self._client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        status = execution["Status"]
        if status["State"] in ("FAILED", "CANCELLED"):
            raise AthenaQueryFailed(query_id, status.get("StateChangeReason") or status["State"])
        if status["State"] != "SUCCEEDED":
            return None
        statistics = execution.get("Statistics", {})
        return QueryResult(
            query_id,
            int(statistics.get("DataScannedInBytes", 0)),
            execution.get("ResultConfiguration", {}).get("OutputLocation"),
            int(statistics.get("TotalExecutionTimeInMillis", 0)),
            execution.get("StatementType", "DML"),
        )

    def fetch(self, result: QueryResult) -> "pa.Table":
        """The rows of any statement, with Arrow types: a SELECT's from its result file, others' from the API.

        Arrays, maps, rows and JSON stay as Athena's text; NULL and the empty string stay apart.
        """
        import pyarrow as pa

        if result.output_location is not None and result.output_location.endswith(".csv"):
            return pa.Table.from_batches(self.batches(result), self.columns(result))
        return self._answered(result)

    def _answered(self, result: QueryResult) -> "pa.Table":
        """The rows of what has no CSV: SHOW, DESCRIBE and the like, whose text file has no header, and
        results that Athena manages itself.
        """
        import pyarrow as pa

        rows: list[list[str | None]] = []
        columns: list[dict[str, Any]] = []
        pages = self._client.get_paginator("get_query_results")
        for page in pages.paginate(QueryExecutionId=result.query_id):
            found = page["ResultSet"]
            columns = found["ResultSetMetadata"].get("ColumnInfo", [])
            rows += ([cell.get("VarCharValue") for cell in row["Data"]] for row in found["Rows"])
        if result.statement_type == "DML":
            rows = rows[1:]  # a query's first row is its header
        else:
            rows = [_utility_cells(row, len(columns)) for row in rows]
        schema = pa.schema([(column["Name"], _arrow_type(column)) for column in columns])
        values = zip(*rows, strict=True) if rows else ([] for _ in columns)
        arrays = [
            pa.array(list(cells), pa.string()).cast(kind)
            for cells, kind in zip(values, schema.types, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def columns(self, result: QueryResult) -> "pa.Schema":
        """The names and Arrow types of a SELECT's columns."""
        import pyarrow as pa

        answer = self._client.get_query_results(QueryExecutionId=result.query_id, MaxResults=1)
        columns = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        return pa.schema([(column["Name"], _arrow_type(column)) for column in columns])

    def batches(self, result: QueryResult) -> Iterator["pa.RecordBatch"]:
        """The same rows as ``fetch``, a few megabytes at a time: a result of any size fits in memory."""
        from pyarrow import csv

        if not result.output_location:
            return
        schema = self.columns(result)
        bucket, _, key = result.output_location.removeprefix("s3://").partition("/")
        with io.BufferedReader(
            clients.client("s3").get_object(Bucket=bucket, Key=key)["Body"], _BATCH_BYTES
        ) as lines:
            lines.readline()  # the header
            if not lines.peek(1):
                return
            yield from csv.open_csv(
                lines,
                read_options=csv.ReadOptions(column_names=schema.names, block_size=_BATCH_BYTES),
                parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                convert_options=csv.ConvertOptions(
                    column_types=schema,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    true_values=["true"],
                    false_values=["false"],
                ),
            )


def _utility_cells(cells: list[str | None], count: int) -> list[str | None]:
    """A row of SHOW or DESCRIBE without the blanks that pad it for a terminal. Athena says that DESCRIBE has
    three columns, and answers one value a row, parted by tabs.
    """
    if len(cells) == 1 < count:
        cells = list((cells[0] or "").split("\t"))
    return [*(cell and cell.rstrip() for cell in cells), *[None] * count][:count]


def _arrow_type(column: dict[str, Any]) -> "pa.DataType":
    """The Arrow type of a column in a result file (https://docs.aws.amazon.com/athena/latest/ug/data-types.html)."""
    import pyarrow as pa

    kind = str(column["Type"]).lower()
    if kind == "decimal":
        return pa.decimal128(column.get("Precision") or 38, column.get("Scale") or 0)
    simple = {
        "boolean": pa.bool_(),
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "real": pa.float32(),
        "double": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    return simple.get(kind, pa.string())
