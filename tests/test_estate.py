"""A mistake in estate.yaml is told with its file, line and path, and what was expected; each on a line."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from privacy_assets.estate import (
    Bucket,
    Column,
    ColumnType,
    Estate,
    EstateError,
    Table,
    deadline_cron,
    load_estate,
)
from privacy_assets.governed import PROJECT

GOOD = """\
tables:
  - name: logs
    table: LogsTable
    keys: [logId]
    subject_key: subject
    owner: team:privacy
    columns:
      logId: {type: string}
      subject: {type: string, categories: [identifier]}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "estate.yaml"
    path.write_text(text)
    with pytest.raises(EstateError) as raised:
        load_estate(path)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return [problem.removeprefix(f"{path}:") for problem in raised.value.problems]


def test_the_projects_own_estate_loads() -> None:
    (table,) = load_estate(PROJECT / "estate.yaml").tables
    assert (table.name, table.table, table.key_columns) == ("privacy_logs", "PrivacyLogsTable", ("log_id",))
    assert table.columns["data_categories"].type is ColumnType.STRING_LIST
    assert deadline_cron(table) == ("0 6 * * *", timedelta(hours=6))


def test_an_attribute_keeps_its_spaces(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(GOOD.replace("[logId]", '[" logId "]').replace("logId:", '" logId ":'))
    (table,) = load_estate(path).tables
    assert (table.keys, list(table.columns)) == ((" logId ",), [" logId ", "subject"])


def test_columns_are_named_as_the_catalog_can(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(GOOD.replace("subject: {type", "a b.C: {type: json}\n      subject: {type"))
    (table,) = load_estate(path).tables
    assert [table.column_name(attribute) for attribute in table.columns] == ["logid", "a_b_c", "subject"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "owner: team:privacy\n",
            "owner: team:privacy\n    colour: blue\n",
            "7: tables.0.colour: unknown, expected one of name, table, keys, subject_key, time_key, ow",
        ),
        ("    table: LogsTable\n", "", "2: tables.0.table: missing, expected a value"),
        ("name: logs", "name: Logs", "2: tables.0.name: 'Logs', expected a lower-case letter, then"),
        (
            "type: string}",
            "type: strin}",
            "8: tables.0.columns.logId.type: 'strin', expected one of string, number, integer, double, bo",
        ),
        (
            "keys: [logId]",
            "keys: [id]",
            "2: tables.0: keys: 'id' is no column, expected one of logId, subject",
        ),
        ("keys: [logId]", "keys: []", "4: tables.0.keys: list, expected at least 1, has 0"),
        ("subject_key: subject", "subject_key: who", "2: tables.0: subject_key: 'who' is no column"),
        (
            "owner: team:privacy",
            "owner: privacy",
            "6: tables.0.owner: 'privacy', expected team:<name> or an e-mail address",
        ),
        (
            "owner:",
            "retention: ten years\n    owner:",
            "6: tables.0.retention: 'ten years', expected an ISO 8601",
        ),
        (
            "owner:",
            "deadline: '25:00'\n    owner:",
            "6: tables.0.deadline: '25:00', expected a time of day in UTC",
        ),
        (
            "owner:",
            "deadline: 6:00\n    owner:",
            "6: tables.0.deadline: 360, expected a time of day in UTC, quoted and with two digits each, such",
        ),
        ("owner: team:privacy", "owner: 5", "6: tables.0.owner: 5, expected text (quote it)"),
        ("owner:", "misfit_threshold: -1\n    owner:", "6: tables.0.misfit_threshold: -1, expected a whole"),
        ("tables:", "start: soon\ntables:", "1: start: 'soon', expected a day such as 2025-01-01"),
        (
            "subject: {type",
            "subject: {typ: 1, type",
            "9: tables.0.columns.subject.typ: unknown, expected one of type,",
        ),
        (
            "subject: {",
            "LOGID: {type: string}\n      subject: {",
            "2: tables.0: columns.LOGID: 'logid' is 'logId'",
        ),
        (
            "subject: {",
            "misfits: {type: string}\n      subject: {",
            "2: tables.0: columns.misfits: every snapshot",
        ),
        ("subject: {", "logId: {type: string}\n      subject: {", "9: 'logId' is there twice, expected YAML"),
        (
            "subject: {",
            "1: {type: string}\n      subject: {",
            "9: the key 1 is no text (quote it), expected YAML",
        ),
        ("tables:", "version: 2\ntables:", "1: version: 2, expected 1"),
        ("tables:", "tables: [", "2: "),
        (GOOD, "", "1: no mapping, expected a YAML file with 'tables:'"),
        (GOOD, "- a", "1: no mapping, expected a YAML file with 'tables:'"),
        (GOOD, "tables: []", "1: tables: list, expected at least 1, has 0"),
        (GOOD, GOOD + GOOD.removeprefix("tables:\n"), "1: tables: name 'logs' is there twice, expected once"),
    ],
)
def test_each_mistake_is_one_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (problem,) = problems(tmp_path, GOOD.replace(old, new, 1))
    assert problem.startswith(expected)
    assert "\n" not in problem


def test_every_mistake_is_told(tmp_path: Path) -> None:
    text = GOOD.replace("name: logs", "name: Logs").replace("type: string}", "type: strin}")
    assert [problem.split(":")[0] for problem in problems(tmp_path, text)] == ["2", "8"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        EstateError, match=f"{tmp_path}/none.yaml: No such file or directory, expected a YAML file"
    ):
        load_estate(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EstateError, match="not UTF-8"):
        load_estate(tmp_path / "binary.yaml")


DOCUMENTED = (PROJECT / "docs" / "estate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [Estate, Table, Column, Bucket])
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"\n| `{name}` |" not in DOCUMENTED] == []


def test_every_type_is_documented() -> None:
    assert [kind.value for kind in ColumnType if f"\n| `{kind.value}` |" not in DOCUMENTED] == []


def test_no_table_has_the_name_of_another_in_the_catalog(tmp_path: Path) -> None:
    """The product's own, or what a snapshot of another table makes."""
    from privacy_assets.archive.reconciliation import MISSED
    from privacy_assets.archive.rows import DELETIONS
    from privacy_assets.audit.results import FAILURES, RESULTS, RUNS
    from privacy_assets.ingest.names import EVENTS
    from privacy_assets.scan.tables import FINDINGS, OBJECTS

    for name in (MISSED, DELETIONS, FAILURES, RESULTS, RUNS, EVENTS, FINDINGS, OBJECTS):
        (told,) = problems(tmp_path, GOOD.replace("name: logs", f"name: {name}"))
        assert told.endswith(
            f"tables: name {name!r}: the catalog's table {name!r} is the product's own, expected another name"
        )
    second = GOOD.replace("tables:\n", "").replace("LogsTable", "OtherTable")
    for name, clash in (("logs_lines", "logs_lines"), ("raw_logs", "raw_logs")):
        (told,) = problems(tmp_path, GOOD + second.replace("name: logs", f"name: {name}"))
        assert told.endswith(
            f"tables: name {name!r}: the catalog's table {clash!r} is logs's, expected another name"
        )
