"""``athena`` and ``estate check`` against AWS."""

import json
from pathlib import Path

import boto3
import pytest

from privacy_assets.cli import run
from privacy_assets.governed import PROJECT, governed_estate, table_shapes
from resources.provision import Names, provision

ROWS = """
SELECT * FROM (VALUES
    (1, 'a "quoted", one', 2.5e0, true, DATE '2026-01-31', TIMESTAMP '2026-01-31 23:59:59.5'),
    (2, '', NULL, false, NULL, NULL),
    (3, NULL, 0e0, NULL, DATE '2026-02-28', TIMESTAMP '2026-02-28 00:00:00')
) AS t (n, words, x, yes, day, instant) ORDER BY n
"""


@pytest.fixture
def account(aws: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names and an estate of this test's own; nothing is created."""
    own = (PROJECT / "estate.yaml").read_text().replace("PrivacyLogsTable", f"Logs-{unique}")
    (tmp_path / "estate.yaml").write_text(own)
    settings = {
        "ESTATE": str(tmp_path / "estate.yaml"),
        "LAKE_BUCKET": f"lake-{unique}",
        "GLUE_DATABASE": f"db_{unique}",
        "ATHENA_WORKGROUP": f"group-{unique}",
        "EXPORT_QUEUE": f"exports-{unique}",
        "EXPORT_DEAD_LETTER_QUEUE": f"dead-{unique}",
        "CRAWLER_ROLE": f"arn:aws:iam::123456789012:role/crawler-{unique}",
        "ALERT_TOPIC_ARN": f"arn:aws:sns:us-east-1:123456789012:alerts-{unique}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PRIVACY_ASSETS_{name}", value)
    return Names.from_settings()


def test_the_estate_is_compared_with_the_account(account: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estate", "check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"bucket {account.bucket}: missing" in lines
    provision(table_shapes(governed_estate()))
    assert run(["estate", "check"]) == 0
    agrees = capsys.readouterr()
    assert (agrees.out, agrees.err) == ("", "no differences: the account has what the estate needs\n")
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=account.queue)["QueueUrl"])
    assert run(["estate", "check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [f"queue {account.queue}: missing"]


def test_an_empty_account_says_what_creates_the_workgroup(
    account: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["athena", "SELECT 1"]) == 2
    said = capsys.readouterr().err
    assert f"no workgroup '{account.workgroup}'" in said
    assert "`privacy-assets up` creates it" in said
    assert said.count("\n") == 1


@pytest.fixture
def athena(account: Names) -> Names:
    provision(table_shapes(governed_estate()))
    return account


def test_rows_as_csv_keep_null_and_empty_apart(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", "--csv", ROWS]) == 0
    assert capsys.readouterr().out.splitlines() == [
        '"n","words","x","yes","day","instant"',
        '"1","a ""quoted"", one","2.5","true","2026-01-31","2026-01-31 23:59:59.500"',
        '"2","",,"false",,',
        '"3",,"0.0",,"2026-02-28","2026-02-28 00:00:00.000"',
    ]


def test_rows_as_json(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", "--json", ROWS]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "n": 1,
        "words": 'a "quoted", one',
        "x": 2.5,
        "yes": True,
        "day": "2026-01-31",
        "instant": "2026-01-31 23:59:59.500",
    }
    assert [row["words"] for row in rows[1:]] == ["", None]


def test_tables_are_listed_from_the_first_one_on(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        table = f"CREATE EXTERNAL TABLE {name} (x int) LOCATION 's3://{athena.bucket}/x/'"
        assert run(["athena", table]) == 0
    capsys.readouterr()
    assert run(["athena", "--csv", "SHOW TABLES"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ['"tab_name"', '"a"', '"b"']
    assert run(["athena", "--json", "DESCRIBE a"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"col_name": "x", "data_type": "int", "comment": ""}]


def test_rows_as_a_table_show_null(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", ROWS + ";"]) == 0
    shown = capsys.readouterr().out
    assert "NULL" in shown
    assert 'a "quoted", one' in shown
    assert "3 rows" in shown


def test_a_table_does_not_steer_the_terminal(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    sql = """SELECT chr(27) || '[31mred' || chr(155) || chr(8238) || '\\x' AS "a\x1b]0;title\x07", 'ü' AS b"""
    assert run(["athena", sql]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b[31mred\x9b\u202e\x" in shown
    assert r"a\x1b]0;title\x07" in shown
    assert "ü" in shown
    assert not set(shown) & {"\x1b", "\x9b", "\x07", "\u202e"}
    assert run(["athena", "SELECT CAST(chr(27) || '[2J' AS integer)"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_no_rows_are_an_answer(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", "--json", "SELECT 1 AS n WHERE false"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_columns_of_one_name_are_refused_as_json(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", "--json", "SELECT 1 AS n, 2 AS n"]) == 2
    assert "column 'n' is there twice, expected names that differ" in capsys.readouterr().err


def test_a_failed_query_is_one_line_with_athenas_reason(
    athena: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["athena", "SELECT nonsense FROM (VALUES 1) AS t (n)"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "nonsense" in captured.err


@pytest.mark.parametrize("sql", ["-- how many\nSELECT 1 AS n", "--\nSELECT 1 AS n", "--a=b\nSELECT 1 AS n"])
@pytest.mark.parametrize("order", [("--json", "{sql}"), ("{sql}", "--json"), ("--json", "--", "{sql}")])
def test_sql_may_begin_with_a_comment(
    athena: Names, capsys: pytest.CaptureFixture[str], sql: str, order: tuple[str, ...]
) -> None:
    assert run(["athena", *(part.format(sql=sql) for part in order)]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 1}]


@pytest.mark.parametrize("sql", ["-- nothing else", "-1"])
def test_what_begins_with_a_dash_and_is_no_option_is_sql(
    athena: Names, capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    assert run(["athena", sql]) == 2
    assert "Athena query" in capsys.readouterr().err


def test_a_query_of_another_database(athena: Names, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["athena", "--database", "nowhere", "SELECT * FROM privacy_logs"]) == 2
    assert "nowhere" in capsys.readouterr().err
