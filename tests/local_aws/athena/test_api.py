"""Athena's API: states, results and their pages, workgroups, prepared statements, stopping."""

import csv
import io
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws.process import running
from tests.local_aws.athena.client import Athena

SLOW = (
    "SELECT count(*) FROM UNNEST(sequence(1, 10000)) a(x), UNNEST(sequence(1, 10000)) b(y), "
    "UNNEST(sequence(1, 10000)) c(z) WHERE x * y % 7 = z"
)


def _object(address: str) -> bytes:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bytes(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def test_a_query_tells_what_it_was_and_did(shared: Athena) -> None:
    answer = shared.run("SELECT 1 AS one, 'x' AS two")
    found = answer.execution
    assert found["StatementType"] == "DML"
    assert found["SubstatementType"] == "SELECT"
    assert found["WorkGroup"] == "primary"
    assert found["QueryExecutionContext"] == {"Database": "default"}
    query_id = found["QueryExecutionId"]
    assert found["ResultConfiguration"]["OutputLocation"] == f"s3://{shared.bucket}/results/{query_id}.csv"
    assert found["Status"]["SubmissionDateTime"] <= found["Status"]["CompletionDateTime"]
    statistics = found["Statistics"]
    assert statistics["TotalExecutionTimeInMillis"] >= statistics["EngineExecutionTimeInMillis"] >= 0
    runtime = shared.client.get_query_runtime_statistics(QueryExecutionId=query_id)["QueryRuntimeStatistics"]
    assert runtime["Rows"]["OutputRows"] == 1


def test_columns_are_described(shared: Athena) -> None:
    answer = shared.run(
        "SELECT 1 a, CAST(1.5 AS decimal(10,2)) b, 'xy' c, CAST('x' AS varchar) d, ARRAY[1] e, now() f, 1e0"
    )
    told = [(c["Name"], c["Type"], c["Precision"], c["Scale"]) for c in answer.columns]
    assert told == [
        ("a", "integer", 10, 0),
        ("b", "decimal", 10, 2),
        ("c", "varchar", 2, 0),
        ("d", "varchar", 2147483647, 0),
        ("e", "array", 0, 0),
        ("f", "timestamp with time zone", 3, 0),
        ("_col6", "double", 17, 0),
    ]


def test_the_result_file_quotes_values_and_leaves_null_bare(shared: Athena) -> None:
    answer = shared.run(
        "SELECT * FROM (VALUES (1, 'a\"b'), (2, ''), (3, NULL), (4, 'two\nlines')) t(n, s) ORDER BY n"
    )
    data = _object(answer.execution["ResultConfiguration"]["OutputLocation"]).decode()
    assert data == '"n","s"\n"1","a""b"\n"2",""\n"3",\n"4","two\nlines"\n'
    assert answer.rows == [("1", 'a"b'), ("2", ""), ("3", None), ("4", "two\nlines")]


def test_the_metadata_beside_it_is_the_message_that_athena_writes(shared: Athena) -> None:
    """As in the one published sample: id, then catalog, name, label, type, nullability of each column."""
    answer = shared.run("SELECT ARRAY[1] AS ary")
    query_id = answer.execution["QueryExecutionId"]
    found = _object(answer.execution["ResultConfiguration"]["OutputLocation"] + ".metadata")
    column = b"\x0a\x04hive\x22\x03ary\x2a\x03ary\x32\x05arrayH\x03"
    assert found == b"\x0a\x24" + query_id.encode() + b"\x22\x19" + column


def test_results_come_in_pages_of_at_most_a_thousand_with_the_header_first(shared: Athena) -> None:
    sql = "SELECT x FROM UNNEST(sequence(1, 2500)) t(x) ORDER BY x"
    query_id = shared.run(sql).execution["QueryExecutionId"]
    sizes, seen, token = [], [], None
    while True:
        more: dict[str, Any] = {"NextToken": token} if token else {}
        page = shared.client.get_query_results(QueryExecutionId=query_id, **more)
        rows = [row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]]
        sizes.append(len(rows))
        seen += rows
        token = page.get("NextToken")
        if token is None:
            break
    assert sizes == [1000, 1000, 501]
    assert seen == ["x", *map(str, range(1, 2501))]
    first = shared.client.get_query_results(QueryExecutionId=query_id, MaxResults=2)
    assert [row["Data"][0]["VarCharValue"] for row in first["ResultSet"]["Rows"]] == ["x", "1"]
    with pytest.raises(ClientError, match="NextToken"):
        shared.client.get_query_results(QueryExecutionId=query_id, NextToken="made up")


def test_a_result_without_rows_has_a_header(shared: Athena) -> None:
    answer = shared.run("SELECT 1 AS n WHERE false")
    assert _object(answer.execution["ResultConfiguration"]["OutputLocation"]) == b'"n"\n'
    assert answer.rows == []


def test_parameters_are_literals_in_the_order_of_their_marks(shared: Athena) -> None:
    sql = "WITH a AS (SELECT ? AS x) SELECT x, ?, ? + 1 FROM a WHERE x <> ? LIMIT ?"
    rows = shared.rows(sql, ["'it''s'", "DATE '2020-01-02'", "41", "'z'", "5"])
    assert rows == [("it's", "2020-01-02", "42")]
    assert shared.rows("SELECT TIMESTAMP '2020-01-01 00:00:00' < ?", ["TIMESTAMP '2020-01-02 00:00:00'"]) == [
        ("true",)
    ]


def test_parameters_must_be_as_many_as_their_marks(shared: Athena) -> None:
    assert "Incorrect number of parameters: expected 2 but found 1" in shared.fails("SELECT ?, ?", ["1"])
    assert "expected 0 but found 1" in shared.fails("SELECT 1", ["1"])


def test_a_parameter_is_no_way_in(shared: Athena) -> None:
    assert shared.fails("SELECT ?", ["1 FROM nosuch"]).startswith("SYNTAX_ERROR")
    assert shared.fails("SELECT ?", ["1, 2"]).startswith("SYNTAX_ERROR")


def test_a_failed_query_says_why_and_where(shared: Athena) -> None:
    answer = shared.run("SELECT\n  wrong FROM (VALUES 1) t(x)")
    assert answer.state == "FAILED"
    assert answer.reason.startswith("COLUMN_NOT_FOUND: line 2:3: Column 'wrong' cannot be resolved")
    error = answer.execution["Status"]["AthenaError"]
    assert error["ErrorCategory"] == 2
    assert error["ErrorMessage"] == answer.reason
    with pytest.raises(ClientError, match="Final query state: FAILED"):
        shared.client.get_query_results(QueryExecutionId=answer.execution["QueryExecutionId"])


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("INSERT INTO t VALUES (1)", "INSERT INTO"),
        ("DELETE FROM t", "DELETE"),
        ("MERGE INTO t USING s ON 1=1 WHEN MATCHED THEN DELETE", "MERGE"),
        ("VACUUM t", "VACUUM"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("CREATE FUNCTION f() RETURNS int RETURN 1", "CREATE FUNCTION"),
        ("CREATE TABLE t (a int) LOCATION 's3://b/x/'", "CREATE TABLE"),
        ("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS true)", "MATCH_RECOGNIZE"),
        ("WITH RECURSIVE a(x) AS (SELECT 1) SELECT x FROM a", "WITH RECURSIVE"),
    ],
)
def test_what_is_not_supported_fails_by_name(shared: Athena, sql: str, named: str) -> None:
    reason = shared.fails(sql)
    assert reason.startswith("NOT_SUPPORTED: "), reason
    assert named in reason


def test_a_client_token_starts_one_query(shared: Athena) -> None:
    token = uuid.uuid4().hex
    first = shared.start("SELECT 1", ClientRequestToken=token)
    assert shared.start("SELECT 1", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        shared.start("SELECT 2", ClientRequestToken=token)


def test_stopping_interrupts_a_running_query(shared: Athena) -> None:
    query_id = shared.start(SLOW)
    shared.wait(query_id, ("RUNNING",))
    shared.client.stop_query_execution(QueryExecutionId=query_id)
    found = shared.wait(query_id)
    assert found["Status"]["State"] == "CANCELLED"
    assert shared.rows("SELECT 1") == [("1",)]


def test_more_queries_than_workers_wait_in_line(shared: Athena) -> None:
    slow = [shared.start(SLOW) for _ in range(8)]
    try:
        states = [shared.wait(query_id, ("QUEUED", "RUNNING"))["Status"]["State"] for query_id in slow]
        assert "QUEUED" in states
        shared.client.stop_query_execution(QueryExecutionId=slow[-1])
        assert shared.wait(slow[-1])["Status"]["State"] == "CANCELLED"
    finally:
        for query_id in slow:
            shared.client.stop_query_execution(QueryExecutionId=query_id)
    assert {shared.wait(query_id)["Status"]["State"] for query_id in slow} == {"CANCELLED"}


def test_executions_are_listed_newest_first_and_described_together(shared: Athena, unique: str) -> None:
    group = f"g{unique}"
    shared.client.create_work_group(Name=group, Configuration={"EnforceWorkGroupConfiguration": False})
    ids = [shared.start(f"SELECT {n}", WorkGroup=group) for n in range(3)]
    for query_id in ids:
        shared.wait(query_id)
    first = shared.client.list_query_executions(WorkGroup=group, MaxResults=2)
    rest = shared.client.list_query_executions(WorkGroup=group, NextToken=first["NextToken"])
    assert [*first["QueryExecutionIds"], *rest["QueryExecutionIds"]] == ids[::-1]
    told = shared.client.batch_get_query_execution(QueryExecutionIds=[*ids, "nosuch"])
    assert [e["QueryExecutionId"] for e in told["QueryExecutions"]] == ids
    assert [e["QueryExecutionId"] for e in told["UnprocessedQueryExecutionIds"]] == ["nosuch"]


def test_a_workgroup_may_override_the_clients_location(shared: Athena, unique: str) -> None:
    group = f"g{unique}"
    configuration: Any = {"ResultConfiguration": {"OutputLocation": f"s3://{shared.bucket}/{group}"}}
    shared.client.create_work_group(Name=group, Configuration=configuration)
    answer = shared.run("SELECT 1", WorkGroup=group)
    location = answer.execution["ResultConfiguration"]["OutputLocation"]
    assert location.startswith(f"s3://{shared.bucket}/{group}/")
    updates: Any = {"EnforceWorkGroupConfiguration": False}
    shared.client.update_work_group(WorkGroup=group, ConfigurationUpdates=updates)
    location = shared.run("SELECT 1", WorkGroup=group).execution["ResultConfiguration"]["OutputLocation"]
    assert location.startswith(f"s3://{shared.bucket}/results/")
    shared.client.update_work_group(WorkGroup=group, State="DISABLED")
    with pytest.raises(ClientError, match="is disabled"):
        shared.start("SELECT 1", WorkGroup=group)


def test_requests_that_make_no_sense_are_refused(shared: Athena) -> None:
    with pytest.raises(ClientError, match="WorkGroup is not found"):
        shared.start("SELECT 1", WorkGroup="nosuch")
    with pytest.raises(ClientError, match="No output location provided"):
        shared.client.start_query_execution(QueryString="SELECT 1")
    with pytest.raises(ClientError, match="was not found"):
        shared.client.get_query_execution(QueryExecutionId="nosuch")
    with pytest.raises(ClientError, match="empty"):
        shared.start("  ")


def test_a_bucket_that_is_not_there_fails_the_query(shared: Athena) -> None:
    answer = shared.run("SELECT 1", ResultConfiguration={"OutputLocation": "s3://no-such-bucket-anywhere/x/"})
    assert answer.state == "FAILED"
    assert "Unable to write to s3://no-such-bucket-anywhere/x/" in answer.reason


def test_prepared_statements_by_api_and_by_sql(shared: Athena, unique: str) -> None:
    group = f"g{unique}"
    configuration: Any = {"ResultConfiguration": {"OutputLocation": f"s3://{shared.bucket}/p/"}}
    shared.client.create_work_group(Name=group, Configuration=configuration)
    shared.client.create_prepared_statement(
        StatementName="plus", WorkGroup=group, QueryStatement="SELECT ? + ?"
    )
    with pytest.raises(ClientError, match="already exists"):
        shared.client.create_prepared_statement(
            StatementName="plus", WorkGroup=group, QueryStatement="SELECT 1"
        )
    assert shared.run("EXECUTE plus USING 1, (2 + 3)", WorkGroup=group).rows == [("6",)]
    assert shared.run("EXECUTE plus", ["20", "22"], WorkGroup=group).rows == [("42",)]
    assert shared.run("PREPARE twice FROM SELECT 2 * ?", WorkGroup=group).state == "SUCCEEDED"
    listed = shared.client.list_prepared_statements(WorkGroup=group)["PreparedStatements"]
    assert [p["StatementName"] for p in listed] == ["plus", "twice"]
    found = shared.client.get_prepared_statement(StatementName="twice", WorkGroup=group)["PreparedStatement"]
    assert found["QueryStatement"] == "SELECT 2 * ?"
    assert shared.run("DEALLOCATE PREPARE twice", WorkGroup=group).state == "SUCCEEDED"
    with pytest.raises(ClientError, match="Prepared statement not found: twice"):
        shared.start("EXECUTE twice USING 1", WorkGroup=group)


def test_explain_shows_a_plan(shared: Athena) -> None:
    answer = shared.run("EXPLAIN SELECT x FROM (VALUES 1, 2) t(x) WHERE x > 1")
    assert answer.names == ["Query Plan"]
    assert answer.execution["StatementType"] == "UTILITY"
    assert any("x" in str(line) or "FILTER" in str(line) for (line,) in answer.rows)


def test_the_text_file_of_a_utility_is_plain(shared: Athena) -> None:
    answer = shared.run("SHOW DATABASES")
    location = answer.execution["ResultConfiguration"]["OutputLocation"]
    assert location.endswith(".txt")
    lines = list(csv.reader(io.StringIO(_object(location).decode())))
    assert ["default"] in lines


def test_executions_and_their_results_survive_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the end of the server cut off has FAILED, and says so."""
    with running(state=tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="kept")
        athena = Athena("kept")
        done = athena.run("SELECT x FROM UNNEST(sequence(1, 3)) t(x) ORDER BY x", ClientRequestToken="t" * 32)
        made = athena.run("CREATE DATABASE made")
        cut = athena.start(SLOW)
        athena.wait(cut, ("RUNNING",))
        os.kill(server.pid, signal.SIGKILL)
    with running(state=tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        athena = Athena("kept")
        query_id = done.execution["QueryExecutionId"]
        page = athena.client.get_query_results(QueryExecutionId=query_id)["ResultSet"]
        assert [row["Data"][0]["VarCharValue"] for row in page["Rows"]] == ["x", "1", "2", "3"]
        again = athena.start(
            "SELECT x FROM UNNEST(sequence(1, 3)) t(x) ORDER BY x", ClientRequestToken="t" * 32
        )
        assert again == query_id
        status = athena.wait(cut)["Status"]
        assert (status["State"], status["AthenaError"]["Retryable"]) == ("FAILED", True)
        assert athena.wait(made.execution["QueryExecutionId"])["Status"]["State"] == "SUCCEEDED"
        assert ("made",) in athena.rows("SHOW DATABASES")
