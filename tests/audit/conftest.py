"""The audits run for real: rows become Parquet in S3, Glue names them, Athena runs the SQL of the file."""

import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyathena import connect
from pyathena.connection import Connection
from pyathena.cursor import Cursor

from tests.audit.stories import AS_OF, AUDITS, DAY, SCHEMA, Found, Row

Judge = Callable[..., list[Found]]

BUCKET = "audit-tests"
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
GLUE_TYPES = {
    pa.string(): "string",
    pa.timestamp("ms"): "timestamp",
    pa.bool_(): "boolean",
    pa.int64(): "bigint",
    pa.list_(pa.string()): "array<string>",
}
COLUMNS = [{"Name": field.name, "Type": GLUE_TYPES[field.type]} for field in SCHEMA]


@dataclass(frozen=True)
class Lake:
    """The bucket that the tests' snapshots and results are in, and what speaks to AWS about them."""

    bucket: str
    s3: Any
    glue: Any
    athena: Connection[Cursor]


@pytest.fixture(scope="session")
def lake(aws: str) -> Iterator[Lake]:
    """Made once: a client takes longer to make than an audit to run."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    with connect(s3_staging_dir=f"s3://{BUCKET}/results/", poll_interval=0.02) as athena:
        yield Lake(BUCKET, s3, boto3.client("glue"), athena)


@pytest.fixture
def judge(lake: Lake) -> Judge:
    """Runs an audit over rows, in a database of its own: ``judge(audit id, rows)`` gives what it found."""

    def run(
        audit_id: str,
        rows: list[Row],
        day: date = DAY,
        as_of: datetime = AS_OF,
        stored_on: date | None = None,
    ) -> list[Found]:
        database = f"audit_{uuid.uuid4().hex}"
        _store(lake, database, rows, stored_on or day)
        statement, parameters = AUDITS[audit_id].statement(day, as_of)
        cursor = lake.athena.cursor(schema_name=database)
        cursor.execute(statement, parameters or None, paramstyle="qmark")
        assert [column[0] for column in cursor.description or ()] == ["subject", "row_key", "reason"]
        return [Found(*row) for row in cursor.fetchall()]

    return run


def _store(lake: Lake, database: str, rows: list[Row], day: date) -> None:
    """One snapshot of ``rows``, as the typed table ``privacy_logs`` of a new database."""
    folder = f"{database}/snapshot_date={day}/"
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), body)
    lake.s3.put_object(Bucket=lake.bucket, Key=f"{folder}rows.parquet", Body=body.getvalue())
    storage = {"Columns": COLUMNS, "Location": f"s3://{lake.bucket}/{folder}", **PARQUET}
    lake.glue.create_database(DatabaseInput={"Name": database})
    lake.glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": "privacy_logs",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet"},
            "PartitionKeys": [{"Name": "snapshot_date", "Type": "date"}],
            "StorageDescriptor": storage | {"Location": f"s3://{lake.bucket}/{database}/"},
        },
    )
    lake.glue.create_partition(
        DatabaseName=database,
        TableName="privacy_logs",
        PartitionInput={"Values": [str(day)], "StorageDescriptor": storage},
    )
