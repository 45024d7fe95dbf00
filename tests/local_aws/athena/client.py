"""A query through the real API, and its rows as text."""

import time
from dataclasses import dataclass, field
from typing import Any

import boto3

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass
class Answer:
    """A query that ended. ``rows`` are text, the header left out."""

    execution: dict[str, Any]
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[str | None, ...]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return str(self.execution["Status"]["State"])

    @property
    def reason(self) -> str:
        return str(self.execution["Status"].get("StateChangeReason", ""))

    @property
    def scanned(self) -> int:
        return int(self.execution["Statistics"]["DataScannedInBytes"])

    @property
    def names(self) -> list[str]:
        return [c["Name"] for c in self.columns]


class Athena:
    """Queries with a bucket for results and a database."""

    def __init__(self, bucket: str, database: str = "default") -> None:
        self.client = boto3.client("athena")
        self.bucket, self.database = bucket, database

    def start(self, sql: str, parameters: list[str] | None = None, **more: Any) -> str:
        request: dict[str, Any] = {
            "QueryString": sql,
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": f"s3://{self.bucket}/results/"},
            **more,
        }
        if parameters:
            request["ExecutionParameters"] = parameters
        return str(self.client.start_query_execution(**request)["QueryExecutionId"])

    def wait(self, query_id: str, states: tuple[str, ...] = ENDED) -> dict[str, Any]:
        pause = 0.002
        while True:
            found = self.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if found["Status"]["State"] in states:
                return dict(found)
            time.sleep(pause)
            pause = min(0.1, pause * 1.5)

    def run(self, sql: str, parameters: list[str] | None = None, **more: Any) -> Answer:
        """Run to the end, whatever the end is."""
        answer = Answer(self.wait(self.start(sql, parameters, **more)))
        if answer.state == "SUCCEEDED":
            page = self.client.get_query_results(QueryExecutionId=answer.execution["QueryExecutionId"])[
                "ResultSet"
            ]
            answer.columns = page["ResultSetMetadata"]["ColumnInfo"]
            rows = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in page["Rows"]]
            has_header = answer.execution["StatementType"] == "DML"
            answer.rows = rows[1:] if has_header else rows
        return answer

    def rows(self, sql: str, parameters: list[str] | None = None) -> list[tuple[str | None, ...]]:
        """The rows of a query that must succeed."""
        answer = self.run(sql, parameters)
        assert answer.state == "SUCCEEDED", f"{answer.reason}\n{sql}"
        return answer.rows

    def fails(self, sql: str, parameters: list[str] | None = None) -> str:
        """The reason of a query that must fail."""
        answer = self.run(sql, parameters)
        assert answer.state == "FAILED", f"{answer.state}\n{sql}"
        return answer.reason
